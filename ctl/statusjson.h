/* The output of status --json: one object with all targets.  rswapctl(8)
 * explains each member. */
#ifndef RSWAPCTL_STATUSJSON_H
#define RSWAPCTL_STATUSJSON_H

#include <stdbool.h>
#include <stdio.h>

#include "survey.h"

/* Adds one target.  SURVEY's answer may be put back afterwards. */
void statusjson_add(const struct survey *survey);
/* Prints what was added, and forgets it.  PRETTY: in many lines, else in one.
 */
void statusjson_print(FILE *out, bool pretty);

#endif
