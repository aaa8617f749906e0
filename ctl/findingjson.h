/* A finding as JSON: check --json, status --json. */
#ifndef RSWAPCTL_FINDINGJSON_H
#define RSWAPCTL_FINDINGJSON_H

#include "finding.h"

struct json_object;

/* An object with code, health, what and action, of which the caller has the
 * reference. */
struct json_object *findingjson(const struct finding *finding);

#endif
