#include "keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "concurrency.h"
#include "httpd.h"
#include "size.h"
#include "times.h"

#define TEXT(macro)  TEXT_(macro)
#define TEXT_(value) #value

#define MIB (UINT64_C(1) << 20)

const struct key keys[KEYS] = {
	[KEY_SERVER] = { .name = "server",
			 .metavar = "HOST[:PORT]",
			 .help = "a memory server (\"server=\" may be left "
				 "out); repeatable; required without pool",
			 .kind = KEY_IS_TEXT,
			 .allowed = "HOST[:PORT], with a port from 1 to "
				    "65535" },
	[KEY_POOL] = { .name = "pool",
		       .metavar = "etcd://HOST.../NAME",
		       .help = "memory servers that are registered in a pool",
		       .kind = KEY_IS_TEXT,
		       .attach = KEY_OPTION,
		       .allowed = "etcd://HOST[:PORT][,HOST[:PORT]]... and "
				  "/NAME, with 1 to 8 hosts and a name of a-z, "
				  "0-9, - and _" },
	[KEY_SERVERS_MAX] = { .name = "servers-max",
			      .metavar = "N",
			      .help = "servers in use at a time, with a pool",
			      .kind = KEY_IS_NUMBER,
			      .attach = KEY_OPTION,
			      .min = 1,
			      .max = KEYS_SERVERS_MAX,
			      .preset = "16" },
	[KEY_POOL_CA] = { .name = "pool-ca",
			  .metavar = "FILE",
			  .help = "talk to etcd by TLS: who signed its "
				  "certificate, as PEM",
			  .kind = KEY_IS_TEXT,
			  .attach = KEY_OPTION,
			  .allowed = "the path of a PEM file" },
	[KEY_POOL_CERT] = { .name = "pool-cert",
			    .metavar = "FILE",
			    .help = "the certificate of this client of etcd",
			    .kind = KEY_IS_TEXT,
			    .attach = KEY_OPTION,
			    .allowed = "the path of a PEM file" },
	[KEY_POOL_KEY] = { .name = "pool-key",
			   .metavar = "FILE",
			   .help = "and its key",
			   .kind = KEY_IS_TEXT,
			   .attach = KEY_OPTION,
			   .allowed = "the path of a PEM file" },
	[KEY_POOL_LOGIN] = { .name = "pool-login",
			     .metavar = "FILE",
			     .help = "a user of etcd: a file with the line "
				     "USER:PASSWORD",
			     .kind = KEY_IS_TEXT,
			     .attach = KEY_OPTION,
			     .allowed = "the path of a file" },
	[KEY_POOL_STATE] = { .name = "pool-state",
			     .metavar = "FILE",
			     .help = "keep the pool's servers there, for a "
				     "start without etcd",
			     .kind = KEY_IS_TEXT,
			     .attach = KEY_OPTION,
			     .allowed = "the path of a file" },
	[KEY_POOL_RESERVE] = { .name = "pool-reserve",
			       .metavar = "SIZE|all|no",
			       .help = "reserve memory of the pool's servers "
				       "at "
				       "start, or refuse to start",
			       .kind = KEY_IS_SIZE,
			       .attach = KEY_OPTION,
			       .min = MIB,
			       .max = KEYS_SIZE_MAX_BYTES,
			       .word = "no",
			       .all = "all",
			       .preset = "no" },
	[KEY_SIZE] = { .name = "size",
		       .metavar = "SIZE",
		       .help = "size of the device; required",
		       .kind = KEY_IS_SIZE,
		       .min = 4096,
		       .max = KEYS_SIZE_MAX_BYTES,
		       .multiple = 4096 },
	[KEY_TRANSPORT] = { .name = "transport",
			    .metavar = "auto|rdma|tcp",
			    .help = "how pages travel",
			    .kind = KEY_IS_CHOICE,
			    .attach = KEY_OPTION,
			    .choices = "auto|rdma|tcp",
			    .preset = "auto" },
	[KEY_LANES] = { .name = "lanes",
			.metavar = "auto|N",
			.help = "requests in flight",
			.kind = KEY_IS_NUMBER,
			.attach = KEY_OPTION,
			.min = 1,
			.max = CONCURRENCY_LANES_MAX,
			.word = "auto",
			.preset = "auto" },
	[KEY_SPIN] = { .name = "spin",
		       .metavar = "auto|MICROSECONDS",
		       .help = "spin for an answer before sleeping",
		       .kind = KEY_IS_NUMBER,
		       .attach = KEY_OPTION,
		       .max = 1000,
		       .unit = "microseconds",
		       .word = "auto",
		       .preset = "auto" },
	[KEY_TIMEOUT] = { .name = "timeout",
			  .metavar = "SECONDS",
			  .help = "deadline of a request",
			  .kind = KEY_IS_NUMBER,
			  .attach = KEY_OPTION,
			  .min = 1,
			  .max = 600,
			  .unit = "seconds",
			  .preset = TEXT(TIMES_TIMEOUT_S) },
	[KEY_CONTROL] = { .name = "control",
			  .metavar = "PATH",
			  .help = "Unix socket that rswapctl status asks",
			  .kind = KEY_IS_TEXT,
			  .allowed = "the path of a socket" },
	[KEY_METRICS] = { .name = "metrics",
			  .metavar = "[HOST:]PORT",
			  .help = "address of an HTTP server that tells "
				  "figures, to everybody who reaches it",
			  .kind = KEY_IS_TEXT,
			  .attach = KEY_OPTION,
			  .allowed = HTTPD_NAME_ALLOWED },
	[KEY_PSK_FILE] = { .name = "psk-file",
			   .metavar = "FILE",
			   .help = "connect by TLS with a key of this file, "
				   "made by rswapctl genkey",
			   .kind = KEY_IS_TEXT,
			   .attach = KEY_OPTION,
			   .allowed = "the path of a file of lines "
				      "NAME:HEXKEY" },
	[KEY_IDENTITY] = { .name = "identity",
			   .metavar = "NAME",
			   .help = "which key of the file (default: the only "
				   "one)",
			   .kind = KEY_IS_TEXT,
			   .attach = KEY_OPTION,
			   .allowed = "the name of a key in psk-file" },
	[KEY_REPLICAS] = { .name = "replicas",
			   .metavar = "N",
			   .help = "copies of each page, each on another "
				   "server",
			   .kind = KEY_IS_NUMBER,
			   .attach = KEY_OPTION,
			   .min = 1,
			   .max = KEYS_COPIES_MAX,
			   .preset = "1" },
	[KEY_REDUNDANCY] = { .name = "redundancy",
			     .metavar = "K+M",
			     .help = "instead: K shares of each page and M of "
				     "parity, each on another server",
			     .kind = KEY_IS_TEXT,
			     .attach = KEY_OPTION,
			     .allowed = "K+M, with K from 2 to 8 and M from 1 "
					"to 4" },
	[KEY_ENCRYPT] = { .name = "encrypt",
			  .metavar = "on|off",
			  .help = "seal each page with a key that only the "
				  "plugin has",
			  .kind = KEY_IS_BOOL,
			  .attach = KEY_OPTION,
			  .preset = "on" },
	[KEY_CHECKSUM] = { .name = "checksum",
			   .metavar = "on|off",
			   .help = "check each page that is read; sealed pages "
				   "always are",
			   .kind = KEY_IS_BOOL,
			   .attach = KEY_OPTION,
			   .preset = "on" },
	[KEY_FALLBACK] = { .name = "fallback",
			   .metavar = "PATH",
			   .help = "a file or disk for pages that no server "
				   "has room for",
			   .kind = KEY_IS_TEXT,
			   .attach = KEY_OPTION,
			   .allowed = "the path of a file or a block device" },
	[KEY_FALLBACK_SIZE] = { .name = "fallback-size",
				.metavar = "SIZE",
				.help = "how much of it",
				.kind = KEY_IS_SIZE,
				.attach = KEY_OPTION,
				.min = MIB,
				.max = KEYS_SIZE_MAX_BYTES },
	[KEY_REPAIR_RATE] = { .name = "repair-rate",
			      .metavar = "SIZE",
			      .help = "bytes a second that repair copies at "
				      "most; 0 is no limit",
			      .kind = KEY_IS_SIZE,
			      .attach = KEY_OPTION,
			      .min = MIB,
			      .max = KEYS_SIZE_MAX_BYTES,
			      .word = "0",
			      .preset = "128M" },
	[KEY_REPAIR_AFTER] = { .name = "repair-after",
			       .metavar = "SECONDS",
			       .help = "how long a server may be away until "
				       "its shards are copied elsewhere",
			       .kind = KEY_IS_NUMBER,
			       .attach = KEY_OPTION,
			       .min = 1,
			       .max = 3600,
			       .unit = "seconds",
			       .preset = TEXT(TIMES_REPAIR_AFTER_S) },
	[KEY_STRICT] = { .name = "strict",
			 .metavar = "on|off",
			 .help = "refuse to start where a setting for safe "
				 "swapping is refused",
			 .kind = KEY_IS_BOOL,
			 .attach = KEY_FLAG,
			 .preset = "off" },
};

const struct key *key_find(const char *name)
{
	for (int id = 0; id < KEYS; id++) {
		if (!strcmp(keys[id].name, name))
			return &keys[id];
	}
	return NULL;
}

/* Whether TEXT is one of "a|b|c". */
static bool is_choice(const char *choices, const char *text)
{
	size_t length = strlen(text);

	for (const char *c = choices; *c; c += strcspn(c, "|")) {
		c += *c == '|';
		if (strcspn(c, "|") == length && !strncmp(c, text, length))
			return length > 0;
	}
	return false;
}

static bool parse_bool(const char *text, uint64_t *number)
{
	static const char *const words[2][3] = { { "0", "false", "off" },
						 { "1", "true", "on" } };

	for (unsigned i = 0; i < 6; i++) {
		if (!strcmp(text, words[i / 3][i % 3])) {
			*number = i / 3;
			return true;
		}
	}
	return false;
}

static bool parse_size(const struct key *key, const char *text,
		       uint64_t *number)
{
	uint64_t bytes;

	if (!size_parse(text, &bytes) || bytes < key->min || bytes > key->max ||
	    (key->multiple && bytes % key->multiple))
		return false;
	*number = bytes;
	return true;
}

bool key_parse(const struct key *key, const char *text, uint64_t *number)
{
	*number = 0;
	if (key->word && !strcmp(text, key->word))
		return true;
	if (key->all && !strcmp(text, key->all)) {
		*number = UINT64_MAX;
		return true;
	}
	switch (key->kind) {
	case KEY_IS_TEXT:
		return *text;
	case KEY_IS_CHOICE:
		return is_choice(key->choices, text);
	case KEY_IS_BOOL:
		return parse_bool(text, number);
	case KEY_IS_NUMBER:
		return number_parse(text, key->min, key->max, number);
	case KEY_IS_SIZE:
		return parse_size(key, text, number);
	}
	return false;
}

uint64_t key_number(enum key_id id, const char *text)
{
	uint64_t number = 0;

	if (!text)
		text = keys[id].preset;
	if (text)
		key_parse(&keys[id], text, &number);
	return number;
}

/* "1 to 256", or "" where there is no range. */
static struct key_text from_to(const struct key *key)
{
	struct key_text t = { "" };

	if (key->kind == KEY_IS_NUMBER)
		snprintf(t.text, sizeof t.text, "%" PRIu64 " to %" PRIu64,
			 key->min, key->max);
	else if (key->kind == KEY_IS_SIZE)
		snprintf(t.text, sizeof t.text, "%s to %s",
			 size_format(key->min).text,
			 size_format(key->max).text);
	return t;
}

struct key_text key_allowed(const struct key *key)
{
	const char *word = key->word ? key->word : "";
	const char * or = key->word ? ", or " : "";
	struct key_text t = { "" };

	switch (key->kind) {
	case KEY_IS_TEXT:
		snprintf(t.text, sizeof t.text, "%s", key->allowed);
		break;
	case KEY_IS_CHOICE:
		snprintf(t.text, sizeof t.text, "one of %s", key->choices);
		break;
	case KEY_IS_BOOL:
		snprintf(t.text, sizeof t.text,
			 "a boolean, on|off, true|false or 1|0");
		break;
	case KEY_IS_NUMBER:
		snprintf(t.text, sizeof t.text, "%s%s%s from %.40s", word, or,
			 key->unit ? key->unit : "a number", from_to(key).text);
		break;
	case KEY_IS_SIZE:
		snprintf(t.text, sizeof t.text,
			 "%s%s%s%sa size from %.40s, with K, M, G or T%s", word,
			 key->all ? ", " : "", key->all ? key->all : "", or,
			 from_to(key).text,
			 key->multiple ? ", a multiple of 4096 bytes" : "");
		break;
	}
	return t;
}

struct key_text key_range(const struct key *key)
{
	struct key_text range = from_to(key);
	const char *preset = key->preset ? key->preset : "";
	struct key_text t = { "" };

	if (*range.text || *preset)
		snprintf(t.text, sizeof t.text, " (%.40s%s%s%s)", range.text,
			 *range.text && *preset ? ", " : "",
			 *preset ? "default " : "", preset);
	return t;
}

void keys_names(const char *separator, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (int id = 0; id < KEYS && used < size; id++)
		used += (size_t)snprintf(text + used, size - used, "%s%s",
					 id ? separator : "", keys[id].name);
}
