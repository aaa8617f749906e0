/* Files of pre-shared keys, in the form that psktool(1) writes: a line
 * NAME:HEXKEY for each identity.  Empty lines, and lines that begin with '#',
 * are skipped.
 *
 * A name is printable ASCII without spaces and colons, does not begin with '#',
 * and has less than PSK_NAME_BYTES characters.  A key has PSK_KEY_MIN to
 * PSK_KEY_MAX bytes.
 *
 * Errors name the line, and never show a key.  Any thread. */
#ifndef RSWAP_PSKFILE_H
#define RSWAP_PSKFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "wire.h"

/* A name also stands in log lines and in the status, as a client's does. */
#define PSK_NAME_BYTES WIRE_NAME_BYTES

/* RFC 8446 asks for keys of 128 bits at least.  Beyond 512 bits nothing is
 * gained. */
#define PSK_KEY_MIN 16
#define PSK_KEY_MAX 64

/* As many identities as a memory server has sessions at most. */
#define PSKFILE_KEYS_MAX  4096
#define PSKFILE_BYTES_MAX (1u << 20)

struct psk {
	char name[PSK_NAME_BYTES];
	uint32_t key_bytes;
	uint8_t key[PSK_KEY_MAX];
};

/* Zeroed: no keys. */
struct pskfile {
	unsigned n;
	struct psk *keys; /* [n] */
};

/* Whether NAME may be the name of an identity. */
bool psk_name_ok(const char *name);
bool psk_same(const struct psk *a, const struct psk *b);

/* Reads BYTES of TEXT, at most PSKFILE_BYTES_MAX.  0, or a negative errno with
 * the reason, which names the line: then FILE is empty.  At least one key is
 * there on success. */
int pskfile_parse(const char *text, size_t bytes, struct pskfile *file,
		  struct error *why);

/* Reads the file at PATH, which is a secret (secretfile.h). */
int pskfile_read(const char *path, struct pskfile *file, struct error *why);

/* The key of NAME, or NULL. */
const struct psk *pskfile_find(const struct pskfile *file, const char *name);

/* The key that a client with that file uses: the key of NAME, or, where NAME is
 * NULL, the only key.  NULL with the reason. */
const struct psk *pskfile_choose(const struct pskfile *file, const char *name,
				 struct error *why);

/* Wipes the keys, and frees.  FILE is empty afterwards. */
void pskfile_free(struct pskfile *file);

#endif
