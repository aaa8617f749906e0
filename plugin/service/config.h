/* The keys of a front end's command line, checked. */
#ifndef RSWAP_CONFIG_H
#define RSWAP_CONFIG_H

#include <stdbool.h>

#include "engine.h"
#include "keys.h"
#include "pool.h"
#include "pskfile.h"

/* All that the device takes on servers. */
#define CONFIG_RESERVE_ALL UINT64_MAX

struct config {
	struct engine_config engine;
	/* If KEY_POOL is given.  Its files are the paths below, absolute. */
	struct pool pool;
	char *pool_url;
	char *pool_ca, *pool_cert, *pool_key, *pool_login;
	char *pool_state;	     /* or NULL */
	uint64_t pool_reserve_bytes; /* 0: nothing; or CONFIG_RESERVE_ALL */
	char *control_path;	     /* Unix control socket, or NULL */
	struct net_name metrics;     /* if KEY_METRICS is given */
	char *fallback_path;
	char *psk_path;		       /* or NULL: no TLS */
	char identity[PSK_NAME_BYTES]; /* "": the only key */
	struct tls_context *tls;       /* engine.tls */
	bool strict; /* do not start if a safety setting is refused */
	/* How many requests the front end has in flight.  The front end may set
	 * it before config_complete, which sets it otherwise. */
	unsigned requests;
	bool spin_auto;
	bool given[KEYS]; /* by the user */
	char why[512];	  /* why a key was refused, in one line */
};

/* The keys, for the front end's --help.  Empty before config_fill_help. */
extern char config_help[];
void config_fill_help(void);

/* One key=value.  0, or -1 with config->why. */
int config_key(struct config *config, const char *key, const char *value);
/* After the last key: checks that keys go together, and sets the defaults of
 * the keys that were not given. */
int config_complete(struct config *config);
/* All of a command line's N words, "KEY=VALUE" or the value of server=; then
 * config_complete.  WORDS are changed meanwhile, and are as before when it
 * returns.  False with config->why. */
bool config_words(struct config *config, int n, char **words);
void config_free(struct config *config);

#endif
