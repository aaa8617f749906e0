#include "poolstate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "newfile.h"

#define EVERY_NS (10 * NS_PER_S)

/* --- reading --- */

/* All of FILE, ended with a NUL; the caller frees it. */
static char *read_all(FILE *file, struct error *why)
{
	char *text = calloc(1, MEMBERS_TEXT_MAX + 1);
	size_t bytes = text ? fread(text, 1, MEMBERS_TEXT_MAX, file) : 0;

	if (!text)
		error_set(why, "out of memory");
	else if (ferror(file))
		error_set(why, "%s", strerror(errno));
	else if (bytes == MEMBERS_TEXT_MAX)
		error_set(why, "it has more than %u MiB",
			  MEMBERS_TEXT_MAX >> 20);
	else
		return text;
	free(text);
	return NULL;
}

int poolstate_load(const struct poolstate *state, struct members *members,
		   struct error *why)
{
	FILE *file = fopen(state->path, "re");
	char *text;
	int rc;

	if (!file) {
		error_set(why, "%s", strerror(errno));
		return -errno;
	}
	text = read_all(file, why);
	rc = text ? members_read(members, state->pool, text, why) : -EIO;
	free(text);
	fclose(file);
	return rc;
}

/* --- writing --- */

/* FNV-1a. */
static void digest_add(uint64_t *digest, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	while (bytes--)
		*digest = (*digest ^ *at++) * UINT64_C(0x100000001b3);
}

/* Of all that a start needs. */
static uint64_t digest_of(const struct members *members)
{
	uint64_t digest = UINT64_C(0xcbf29ce484222325);

	for (unsigned i = 0; i < members->n; i++) {
		const struct members_entry *entry = &members->entries[i];
		const struct member *m = &entry->member;

		if (!entry->is_understood)
			continue;
		digest_add(&digest, entry->address.text,
			   strlen(entry->address.text) + 1);
		digest_add(&digest, m->state, strlen(m->state) + 1);
		digest_add(&digest, m->zone, strlen(m->zone) + 1);
		digest_add(&digest, &m->transports, sizeof m->transports);
		digest_add(&digest, &m->slab_bytes, sizeof m->slab_bytes);
	}
	return digest;
}

int poolstate_save(struct poolstate *state, const struct members *members,
		   struct error *why)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	bool written = out && members_write(members, state->pool, out);
	int rc = -ENOMEM;

	if ((!out || !fclose(out)) && written)
		rc = newfile_replace(state->path, text, why);
	else
		error_set(why, "out of memory");
	free(text);
	if (!rc)
		state->digest = digest_of(members);
	state->next_ns = clock_now_ns() + EVERY_NS;
	return rc;
}

void poolstate_keep(struct poolstate *state, const struct members *members)
{
	struct error why;

	if (!state->path || clock_left_ns(state->next_ns) ||
	    digest_of(members) == state->digest)
		return;
	if (!poolstate_save(state, members, &why)) {
		state->complained = false;
		return;
	}
	if (!state->complained)
		log_error("pool-state=%s: %s; it stays as it was", state->path,
			  why.text);
	state->complained = true;
}
