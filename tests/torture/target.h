/* What the torture tool sends requests to: an NBD server, or a block device of
 * this machine.  One thread uses a target at a time, but those of an NBD server
 * that allows no second connection. */
#ifndef RSWAP_TORTURE_TARGET_H
#define RSWAP_TORTURE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

struct target;

/* Each function ends with 0 or a negative errno. */
struct target_ops {
	int (*read)(struct target *target, void *buf, uint64_t bytes,
		    uint64_t offset);
	/* FUA: it is answered when it is where it stays. */
	int (*write)(struct target *target, const void *buf, uint64_t bytes,
		     uint64_t offset, bool fua);
	int (*trim)(struct target *target, uint64_t bytes, uint64_t offset,
		    bool fua);
	int (*zero)(struct target *target, uint64_t bytes, uint64_t offset,
		    bool fua);
	int (*flush)(struct target *target);
	/* What the last failure was, in words. */
	const char *(*error)(void);
	/* No request will be answered any more. */
	bool (*is_dead)(struct target *target);
	void (*close)(struct target *target);
};

struct nbd_handle;

struct target {
	const struct target_ops *ops;
	struct nbd_handle *nbd;
	int fd;
	uint64_t bytes;
	/* Threads may have a target of their own each. */
	bool may_be_many;
};

/* The caller closes it.  False where it cannot be opened: WHY says why, for as
 * long as nothing else is asked of a target. */
bool target_open_nbd(struct target *target, const char *socket, const char *uri,
		     const char **why);
bool target_open_block(struct target *target, const char *path,
		       const char **why);

#endif
