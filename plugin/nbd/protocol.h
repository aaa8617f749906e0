/* The NBD protocol on the wire, as far as this server speaks it: numbers, and
 * the layout of messages.  All integers are big-endian.  The source of every
 * constant is doc/proto.md of the NBD project (NetworkBlockDevice/nbd).
 *
 * Functions here have no state, touch no socket, and may be called by any
 * thread with any bytes. */
#ifndef RSWAP_NBD_PROTOCOL_H
#define RSWAP_NBD_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- the handshake --- */

#define NBD_MAGIC	 UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_REPLY_MAGIC	 UINT64_C(0x0003e889045565a9)

/* The server's and the client's handshake flags. */
#define NBD_FIXED_NEWSTYLE 1u
#define NBD_NO_ZEROES	   2u

enum nbd_option {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
	NBD_OPT_LIST_META_CONTEXT = 9,
	NBD_OPT_SET_META_CONTEXT = 10,
};

enum nbd_option_reply {
	NBD_REP_ACK = 1,
	NBD_REP_SERVER = 2,
	NBD_REP_INFO = 3,
	NBD_REP_META_CONTEXT = 4,
};
#define NBD_REP_ERR(n)	    (UINT32_C(1) << 31 | (n))
#define NBD_REP_ERR_UNSUP   NBD_REP_ERR(1)
#define NBD_REP_ERR_INVALID NBD_REP_ERR(3)

enum nbd_info { NBD_INFO_EXPORT = 0, NBD_INFO_BLOCK_SIZE = 3 };

/* Transmission flags. */
#define NBD_FLAG_HAS_FLAGS	   (1u << 0)
#define NBD_FLAG_SEND_FLUSH	   (1u << 2)
#define NBD_FLAG_SEND_FUA	   (1u << 3)
#define NBD_FLAG_SEND_TRIM	   (1u << 5)
#define NBD_FLAG_SEND_WRITE_ZEROES (1u << 6)
#define NBD_FLAG_SEND_DF	   (1u << 7)
#define NBD_FLAG_CAN_MULTI_CONN	   (1u << 8)
#define NBD_FLAG_SEND_FAST_ZERO	   (1u << 11)

#define NBD_OPTION_BYTES       16u /* magic, option, length */
#define NBD_OPTION_REPLY_BYTES 20u /* magic, option, type, length */
#define NBD_STRING_MAX	       4096u

/* --- transmission --- */

#define NBD_REQUEST_MAGIC UINT32_C(0x25609513)
#define NBD_SIMPLE_MAGIC  UINT32_C(0x67446698)
#define NBD_CHUNK_MAGIC	  UINT32_C(0x668e33ef)

#define NBD_REQUEST_BYTES 28u
#define NBD_SIMPLE_BYTES  16u
#define NBD_CHUNK_BYTES	  20u

/* The most bytes of a READ or a WRITE: what NBD asks every server to take. */
#define NBD_REQUEST_MAX (32u << 20)

enum nbd_command {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_CACHE = 5,
	NBD_CMD_WRITE_ZEROES = 6,
	NBD_CMD_BLOCK_STATUS = 7,
};

#define NBD_CMD_FLAG_FUA       (1u << 0)
#define NBD_CMD_FLAG_NO_HOLE   (1u << 1)
#define NBD_CMD_FLAG_DF	       (1u << 2)
#define NBD_CMD_FLAG_REQ_ONE   (1u << 3)
#define NBD_CMD_FLAG_FAST_ZERO (1u << 4)

#define NBD_CHUNK_DONE 1u /* a flag of the last chunk of a reply */

enum nbd_chunk {
	NBD_CHUNK_OFFSET_DATA = 1,
	NBD_CHUNK_BLOCK_STATUS = 5,
	NBD_CHUNK_ERROR = 1 << 15 | 1,
};

/* Flags of an extent in the context "base:allocation". */
#define NBD_EXTENT_HOLE 1u
#define NBD_EXTENT_ZERO 2u

enum nbd_error {
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
};

struct nbd_request {
	uint16_t flags;
	uint16_t command;
	uint64_t cookie;
	uint64_t offset;
	uint32_t count;
};

/* What a connection has negotiated. */
struct nbd_terms {
	bool structured; /* replies */
	bool context;	 /* base:allocation */
};

/* Decodes NBD_REQUEST_BYTES.  False where the magic is wrong. */
bool nbd_decode_request(const uint8_t *in, struct nbd_request *request);

/* Whether a device of SIZE bytes can serve the request: 0, or the error of the
 * reply, with *WHAT of what is wrong.  Alignment is not checked here. */
enum nbd_error nbd_check_request(const struct nbd_request *request,
				 const struct nbd_terms *terms, uint64_t size,
				 const char **what);

/* Whether the request's bytes follow it. */
static inline bool nbd_has_payload(const struct nbd_request *request)
{
	return request->command == NBD_CMD_WRITE;
}

/* The name of a command, for messages. */
const char *nbd_command_name(uint16_t command);

/* These write to OUT, and return the bytes written. */
size_t nbd_encode_simple(uint8_t *out, uint32_t error, uint64_t cookie);
/* A chunk that is the whole reply, and has BYTES after its header. */
size_t nbd_encode_chunk(uint8_t *out, enum nbd_chunk type, uint64_t cookie,
			uint32_t bytes);

static inline uint8_t *nbd_put16(uint8_t *out, uint16_t n)
{
	out[0] = (uint8_t)(n >> 8);
	out[1] = (uint8_t)n;
	return out + 2;
}

static inline uint8_t *nbd_put32(uint8_t *out, uint32_t n)
{
	return nbd_put16(nbd_put16(out, (uint16_t)(n >> 16)), (uint16_t)n);
}

static inline uint8_t *nbd_put64(uint8_t *out, uint64_t n)
{
	return nbd_put32(nbd_put32(out, (uint32_t)(n >> 32)), (uint32_t)n);
}

static inline uint16_t nbd_get16(const uint8_t *in)
{
	return (uint16_t)(in[0] << 8 | in[1]);
}

static inline uint32_t nbd_get32(const uint8_t *in)
{
	return (uint32_t)nbd_get16(in) << 16 | nbd_get16(in + 2);
}

static inline uint64_t nbd_get64(const uint8_t *in)
{
	return (uint64_t)nbd_get32(in) << 32 | nbd_get32(in + 4);
}

#endif
