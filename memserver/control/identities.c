#include "identities.h"

#include <errno.h>

static const struct psk *find(void *arg, const char *name)
{
	const struct identities *identities = arg;

	return pskfile_find(&identities->file, name);
}

int identities_open(struct identities *identities, const char *path,
		    struct error *why)
{
	struct error detail;
	int rc;

	*identities = (struct identities){ .tls = NULL };
	if (!path)
		return 0;
	rc = pskfile_read(path, &identities->file, &detail);
	if (!rc) {
		identities->tls = tls_server_new(find, identities, &detail);
		rc = identities->tls ? 0 : -ENOMEM;
	}
	if (rc) {
		error_set(why, "--psk-file=%.100s: %.140s", path, detail.text);
		identities_close(identities);
	}
	return rc;
}

int identities_read_again(struct identities *identities, const char *path,
			  struct pskfile *before, struct error *why)
{
	struct pskfile file;
	struct error detail;
	int rc = pskfile_read(path, &file, &detail);

	if (rc) {
		error_set(why, "--psk-file=%.100s: %.140s", path, detail.text);
		return rc;
	}
	*before = identities->file;
	identities->file = file;
	return 0;
}

bool identities_keep(const struct identities *identities,
		     const struct pskfile *before, const char *name)
{
	const struct psk *was = pskfile_find(before, name);
	const struct psk *is = pskfile_find(&identities->file, name);

	return was && is && psk_same(was, is);
}

void identities_close(struct identities *identities)
{
	tls_context_free(identities->tls);
	identities->tls = NULL;
	pskfile_free(&identities->file);
}
