/* The plugin's keys, checked. */
#ifndef RSWAP_CONFIG_H
#define RSWAP_CONFIG_H

#include <stdbool.h>

#include "engine.h"

/* The default of repair-rate. */
#define CONFIG_REPAIR_BYTES_PER_S (UINT64_C(128) << 20)

struct config {
	struct engine_config engine;
	char *control_path; /* Unix control socket, or NULL */
	char *fallback_path;
	bool strict; /* swap safety that is refused is fatal */
	bool spin_auto;
};

/* What nbdkit --help prints of the plugin. */
extern const char config_help[];

/* One key=value.  0, or -1 after one line through nbdkit_error. */
int config_key(struct config *config, const char *key, const char *value);
/* After the last key: defaults, and what only shows together. */
int config_complete(struct config *config);
void config_free(struct config *config);

#endif
