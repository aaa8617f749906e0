#include "spark.h"

#include <string.h>

#define BARS 8

static const char *const bars_utf8[BARS] = { "\u2581", "\u2582", "\u2583",
					     "\u2584", "\u2585", "\u2586",
					     "\u2587", "\u2588" };
static const char *const bars_ascii[BARS] = { "_", ".", ":", "-",
					      "=", "+", "*", "#" };

void spark_add(struct spark *spark, double value)
{
	spark->values[spark->n++ % SPARK_VALUES] = value;
}

/* The value that was added I values ago; false: there are not so many. */
static bool past(const struct spark *spark, size_t i, double *value)
{
	if (i >= spark->n || i >= SPARK_VALUES)
		return false;
	*value = spark->values[(spark->n - 1 - i) % SPARK_VALUES];
	return true;
}

/* Only 0 has the lowest bar. */
static size_t height(double value, double highest)
{
	size_t bar;

	if (value <= 0 || highest <= 0)
		return 0;
	bar = 1 + (size_t)(value / highest * (BARS - 1));
	return bar < BARS ? bar : BARS - 1;
}

struct spark_text spark_draw(const struct spark *spark, size_t columns,
			     bool utf8)
{
	const char *const *bars = utf8 ? bars_utf8 : bars_ascii;
	struct spark_text text = { "" };
	double highest = 0, value;
	size_t have = 0;

	if (columns > SPARK_VALUES)
		columns = SPARK_VALUES;
	for (size_t i = 0; i < columns && past(spark, i, &value); i++)
		highest = value > highest ? value : highest;
	for (size_t i = columns; i-- > 0;) {
		const char *bar = " ";

		if (past(spark, i, &value))
			bar = bars[height(value, highest)];
		memcpy(text.text + have, bar, strlen(bar));
		have += strlen(bar);
	}
	return text;
}
