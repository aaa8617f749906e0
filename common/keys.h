/* The plugin's keys, in one table.  The plugin's help, parser, messages and
 * --dump-plugin follow from the table, and so do the options of rswapctl attach
 * that are passed on to the plugin.  A new key is an entry here, a case in the
 * plugin's service/config.c, and an item in the man pages (which
 * integration/docs-options compares). */
#ifndef RSWAP_KEYS_H
#define RSWAP_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYS_SIZE_MAX_BYTES (UINT64_C(1) << 50)
#define KEYS_COPIES_MAX	    4
#define KEYS_SERVERS_MAX    255 /* and the fallback */

enum key_id {
	KEY_SERVER,
	KEY_POOL,
	KEY_SERVERS_MAX,
	KEY_POOL_CA,
	KEY_POOL_CERT,
	KEY_POOL_KEY,
	KEY_POOL_LOGIN,
	KEY_POOL_STATE,
	KEY_POOL_RESERVE,
	KEY_SIZE,
	KEY_TRANSPORT,
	KEY_LANES,
	KEY_SPIN,
	KEY_TIMEOUT,
	KEY_CONTROL,
	KEY_METRICS,
	KEY_PSK_FILE,
	KEY_IDENTITY,
	KEY_REPLICAS,
	KEY_REDUNDANCY,
	KEY_ENCRYPT,
	KEY_CHECKSUM,
	KEY_FALLBACK,
	KEY_FALLBACK_SIZE,
	KEY_REPAIR_RATE,
	KEY_REPAIR_AFTER,
	KEY_STRICT,
	KEYS
};

enum key_kind {
	KEY_IS_TEXT,   /* anything but nothing; the plugin looks further */
	KEY_IS_CHOICE, /* one of choices */
	KEY_IS_BOOL,   /* 0 false off, 1 true on */
	KEY_IS_NUMBER, /* min to max, in units of unit */
	KEY_IS_SIZE,   /* min to max bytes, with K, M, G or T */
};

/* How rswapctl attach has a key. */
enum key_attach {
	KEY_NO_OPTION, /* not as an option that is passed on */
	KEY_OPTION,    /* --name=VALUE */
	KEY_FLAG,      /* --name alone, for "on" */
};

struct key {
	const char *name;
	const char *metavar;
	const char *help; /* without range and default */
	enum key_kind kind;
	enum key_attach attach;
	const char *allowed; /* KEY_IS_TEXT */
	const char *choices; /* KEY_IS_CHOICE: "auto|rdma|tcp" */
	uint64_t min, max;
	uint64_t multiple;  /* of so many bytes; 0: any */
	const char *unit;   /* KEY_IS_NUMBER: "seconds" */
	const char *word;   /* allowed instead, with the number 0; or NULL */
	const char *all;    /* and this one, with UINT64_MAX; or NULL */
	const char *preset; /* the default's text, or NULL */
};

extern const struct key keys[KEYS];

/* The key of that name, or NULL. */
const struct key *key_find(const char *name);

/* Whether KEY may have the value TEXT.  Fills *NUMBER, which stays 0 for
 * KEY_IS_TEXT and KEY_IS_CHOICE.  Any thread, like all functions here. */
bool key_parse(const struct key *key, const char *text, uint64_t *number);

/* The number of TEXT, which key_parse allows, or of the default where TEXT is
 * NULL. */
uint64_t key_number(enum key_id id, const char *text);

struct key_text {
	char text[128];
};
/* What is allowed, for the message about a value that is not: "a number from 1
 * to 256". */
struct key_text key_allowed(const struct key *key);
/* For the end of a line of help: " (1 to 256, default 16)", or "". */
struct key_text key_range(const struct key *key);

/* All names in one line, separated by SEPARATOR.  TEXT is cut at SIZE. */
void keys_names(const char *separator, char *text, size_t size);

#endif
