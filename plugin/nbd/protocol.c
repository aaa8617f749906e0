#include "protocol.h"

bool nbd_decode_request(const uint8_t *in, struct nbd_request *request)
{
	*request = (struct nbd_request){
		.flags = nbd_get16(in + 4),
		.command = nbd_get16(in + 6),
		.cookie = nbd_get64(in + 8),
		.offset = nbd_get64(in + 16),
		.count = nbd_get32(in + 24),
	};
	return nbd_get32(in) == NBD_REQUEST_MAGIC;
}

static const struct {
	const char *name;
	uint16_t flags; /* beside FUA, which has no effect on most */
	bool range;	/* offset and count name a part of the device */
} commands[] = {
	[NBD_CMD_READ] = { "read", NBD_CMD_FLAG_DF, true },
	[NBD_CMD_WRITE] = { "write", 0, true },
	[NBD_CMD_DISC] = { "disconnect", 0, false },
	[NBD_CMD_FLUSH] = { "flush", 0, false },
	[NBD_CMD_TRIM] = { "trim", 0, true },
	[NBD_CMD_CACHE] = { "cache", 0, true },
	[NBD_CMD_WRITE_ZEROES] = { "zero",
				   NBD_CMD_FLAG_NO_HOLE |
					   NBD_CMD_FLAG_FAST_ZERO,
				   true },
	[NBD_CMD_BLOCK_STATUS] = { "block status", NBD_CMD_FLAG_REQ_ONE, true },
};

#define N_COMMANDS (sizeof commands / sizeof commands[0])

const char *nbd_command_name(uint16_t command)
{
	return command < N_COMMANDS ? commands[command].name : "unknown";
}

/* NBD wants ENOSPC for a write beyond the end. */
static enum nbd_error check_range(const struct nbd_request *r, uint64_t size)
{
	if (r->count > 0 && r->offset <= size && r->count <= size - r->offset)
		return 0;
	return r->command == NBD_CMD_WRITE || r->command == NBD_CMD_WRITE_ZEROES
		       ? NBD_ENOSPC
		       : NBD_EINVAL;
}

enum nbd_error nbd_check_request(const struct nbd_request *r,
				 const struct nbd_terms *terms, uint64_t size,
				 const char **what)
{
	enum nbd_error error;

	if (r->command >= N_COMMANDS || r->command == NBD_CMD_CACHE) {
		*what = "there is no such command";
		return NBD_EINVAL;
	}
	if (r->flags & ~(commands[r->command].flags | NBD_CMD_FLAG_FUA) ||
	    (r->flags & NBD_CMD_FLAG_DF && !terms->structured)) {
		*what = "it has a flag that is not allowed";
		return NBD_EINVAL;
	}
	if (r->command == NBD_CMD_BLOCK_STATUS && !terms->context) {
		*what = "base:allocation was not negotiated";
		return NBD_EINVAL;
	}
	error = commands[r->command].range ? check_range(r, size) : 0;
	if (error) {
		*what = "it is empty, or beyond the end of the device";
		return error;
	}
	if (r->command <= NBD_CMD_WRITE && r->count > NBD_REQUEST_MAX) {
		*what = "it is larger than 32 MiB";
		return NBD_ENOMEM;
	}
	return 0;
}

size_t nbd_encode_simple(uint8_t *out, uint32_t error, uint64_t cookie)
{
	uint8_t *at = nbd_put32(out, NBD_SIMPLE_MAGIC);

	at = nbd_put32(at, error);
	return (size_t)(nbd_put64(at, cookie) - out);
}

size_t nbd_encode_chunk(uint8_t *out, enum nbd_chunk type, uint64_t cookie,
			uint32_t bytes)
{
	uint8_t *at = nbd_put32(out, NBD_CHUNK_MAGIC);

	at = nbd_put16(at, NBD_CHUNK_DONE);
	at = nbd_put16(at, (uint16_t)type);
	at = nbd_put64(at, cookie);
	return (size_t)(nbd_put32(at, bytes) - out);
}
