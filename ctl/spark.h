/* The last values of something that changes, as one line of small bars. */
#ifndef RSWAPCTL_SPARK_H
#define RSWAPCTL_SPARK_H

#include <stdbool.h>
#include <stddef.h>

#define SPARK_VALUES 256

struct spark {
	double values[SPARK_VALUES]; /* a ring */
	size_t n;		     /* that were ever added */
};

struct spark_text {
	char text[SPARK_VALUES * 3 + 1]; /* a bar of UTF-8 has 3 bytes */
};

void spark_add(struct spark *spark, double value);

/* The last COLUMNS values, the newest on the right, and spaces where there are
 * not so many yet.  The highest of those that are shown has the highest bar.
 * UTF8: block elements, else ASCII. */
struct spark_text spark_draw(const struct spark *spark, size_t columns,
			     bool utf8);

#endif
