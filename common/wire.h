/* The wire: every byte that a plugin and a memory server exchange.
 *
 * All integers are little-endian, and so is the machine; all structs are laid
 * out without padding.  Both are asserted below.  So a message is its struct.
 * docs/protocol.md tells the same in prose and is the reference for other
 * implementations.
 *
 * One TCP port takes two kinds of connection.  The first message decides:
 *
 *   HELLO  -> a control connection:  HELLO WELCOME
 *             [OPEN OPENED | RESUME RESUMED]
 *             { LANE TOKEN | ALLOC SLAB | FREE FREED | FENCE FENCED |
 *               PING PONG } * BYE
 *   JOIN   -> a TCP connection of a lane: JOIN JOINED, then data requests and
 *             replies
 *
 * An RDMA connection of a lane has no data frames: pages move by one-sided READ
 * and WRITE.  The JOIN message is the private data of the rdma_cm connection
 * request (private_data.h).
 *
 * Any request on a control connection may be answered by ERROR, with the
 * request's cookie.  RELEASE alone comes unasked, with cookie 0: anywhere
 * behind OPENED or RESUMED, also between a request and its reply.
 */
#ifndef RSWAP_WIRE_H
#define RSWAP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_MAGIC	  0x50575352u /* "RSWP" */
#define WIRE_VERSION	  3
#define WIRE_DEFAULT_PORT 10909

#define WIRE_TOKEN_BYTES       16
#define WIRE_INCARNATION_BYTES 16
#define WIRE_NAME_BYTES	       64
#define WIRE_ZONE_BYTES	       32
#define WIRE_ERROR_TEXT_BYTES  124

/* The largest body of any control message. */
#define WIRE_BODY_MAX 128

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_WELCOME = 2,
	WIRE_OPEN = 3,
	WIRE_OPENED = 4,
	WIRE_LANE = 5,
	WIRE_TOKEN = 6,
	WIRE_JOIN = 7,
	WIRE_JOINED = 8,
	WIRE_ALLOC = 9,
	WIRE_SLAB = 10,
	WIRE_FREE = 11,
	WIRE_FREED = 12,
	WIRE_FENCE = 13,
	WIRE_FENCED = 14,
	WIRE_PING = 15,
	WIRE_PONG = 16,
	WIRE_BYE = 17,
	WIRE_ERROR = 18,
	WIRE_RESUME = 19,
	WIRE_RESUMED = 20,
	WIRE_RELEASE = 21,
	WIRE_TYPE_END
};

/* Bits of wire_welcome.transports; wire_open.transport is exactly one. */
#define WIRE_TRANSPORT_TCP  1u
#define WIRE_TRANSPORT_RDMA 2u

/* wire_error.code */
enum wire_error_code {
	WIRE_E_VERSION = 1,    /* this protocol version is not spoken here */
	WIRE_E_PROTOCOL = 2,   /* a message that is malformed or out of place */
	WIRE_E_NO_MEMORY = 3,  /* no slab can be granted now */
	WIRE_E_NO_SLAB = 4,    /* that slab is not this session's */
	WIRE_E_TRANSPORT = 5,  /* that transport is not served here */
	WIRE_E_TOKEN = 6,      /* that token joins nothing */
	WIRE_E_LIMIT = 7,      /* too many lanes or sessions */
	WIRE_E_INTERNAL = 8,   /* the server could not; its log says why */
	WIRE_E_NO_SESSION = 9, /* there is nothing that this would resume */
	/* TLS with a key is wanted here, or is not; or this identity may have
	 * nothing here */
	WIRE_E_IDENTITY = 10,
};

struct wire_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t body_bytes;
	uint32_t cookie; /* a reply has its request's */
};

/* First on a control connection. */
struct wire_hello {
	uint64_t features;	    /* none defined: 0 */
	char name[WIRE_NAME_BYTES]; /* the client's, for logs: a word */
};

struct wire_welcome {
	uint8_t incarnation[WIRE_INCARNATION_BYTES]; /* drawn at start */
	uint64_t features;			     /* none defined: 0 */
	uint64_t slab_bytes;
	uint64_t total_bytes; /* what the server may grant */
	uint64_t free_bytes;  /* of that, not granted */
	uint32_t transports;  /* WIRE_TRANSPORT_ bits */
	uint32_t max_lanes;   /* of one session */
	uint16_t rdma_port;   /* rdma_cm port, 0 without RDMA */
	uint16_t reserved[3];
	/* What fails together with this server (a rack, a power feed); empty
	 * where nobody said.  A word. */
	char zone[WIRE_ZONE_BYTES];
};

struct wire_open {
	uint64_t size_bytes; /* the device's, for the server's status */
	uint32_t lanes;	     /* how many will join, 1 to max_lanes */
	uint32_t transport;  /* of every lane of this session */
};

struct wire_opened {
	uint64_t session;
	uint64_t free_bytes;
	uint8_t token[WIRE_TOKEN_BYTES]; /* resumes it */
	/* How long the session outlives its control connection; 0: not at all.
	 */
	uint32_t grace_ms;
	uint32_t reserved;
};

/* In the place of OPEN: takes a session up whose control connection was lost,
 * or is believed to be alive still.  It implies FENCE: RESUMED comes when every
 * lane that had joined before is closed. */
struct wire_resume {
	uint64_t session;
	uint8_t token[WIRE_TOKEN_BYTES];
};

struct wire_resumed {
	uint64_t session;
	uint64_t free_bytes;
	uint32_t slabs; /* that the session holds */
	uint32_t reserved;
	/* Resumes the session next time.  The token of this RESUME works until
	 * the client sends another message. */
	uint8_t token[WIRE_TOKEN_BYTES];
};

/* LANE has no body: it asks for the token of one more lane. */

struct wire_token {
	uint64_t session;
	uint32_t lane; /* the server's number for it, for logs */
	uint32_t reserved;
	uint8_t token[WIRE_TOKEN_BYTES]; /* joins once */
};

/* First on a lane.  Same fields as wire_token. */
struct wire_join {
	uint64_t session;
	uint32_t lane;
	uint32_t reserved;
	uint8_t token[WIRE_TOKEN_BYTES];
};

struct wire_joined {
	uint32_t lane;
	uint32_t reserved;
};

/* A label that the session holds a slab for already is answered with that slab:
 * the first answer may have been lost with its connection. */
struct wire_alloc {
	uint64_t label; /* the client's number for it */
};

/* A client reaches a byte of the slab by its offset within the slab.  No
 * message tells an address of the server. */
struct wire_slab {
	uint64_t label; /* as asked */
	uint64_t bytes;
	uint64_t free_bytes;
	uint32_t slab; /* names it in data requests and FREE */
	uint32_t rkey; /* RDMA; TCP: 0 */
};

struct wire_free {
	uint32_t slab;
	uint32_t reserved;
};

struct wire_freed {
	uint64_t free_bytes;
};

/* FENCE has no body.  FENCED says: every lane that had joined before is
 * closed, no byte that was sent on one will reach a slab any more, and no
 * token that was issued before joins anything. */
struct wire_fenced {
	uint32_t lanes_closed;
	uint32_t reserved;
};

/* PING has no body. */

struct wire_pong {
	uint64_t total_bytes;
	uint64_t free_bytes;
	uint32_t session_slabs;
	uint32_t session_lanes;
	/* How many slabs the session is still asked to give back, or
	 * WIRE_RELEASE_ALL: so that one which resumed hears of it. */
	uint32_t release_slabs;
	uint32_t reserved;
};

enum wire_release_reason {
	WIRE_RELEASE_DRAIN = 1,	   /* the server is to be emptied */
	WIRE_RELEASE_PRESSURE = 2, /* its machine is short of memory */
};

#define WIRE_RELEASE_ALL UINT32_MAX

/* From the server, unasked: move what SLABS slabs hold elsewhere and FREE them.
 * 0 takes the wish back.  It replaces the one before, and counts from now. */
struct wire_release {
	uint32_t slabs; /* or WIRE_RELEASE_ALL */
	uint32_t error; /* enum wire_release_reason */
};

/* BYE has no body and no reply: the session and its slabs are given back. */

struct wire_error {
	uint32_t code;
	char text[WIRE_ERROR_TEXT_BYTES]; /* NUL-terminated, one line, not
					   * empty */
};

/* --- a TCP lane's frames, one each way per run of pages --- */

#define WIRE_DATA_MAGIC	 0x44575352u /* "RSWD" */
#define WIRE_REPLY_MAGIC 0x52575352u /* "RSWR" */

/* The most bytes that one frame moves. */
#define WIRE_DATA_MAX_BYTES (32u << 20)

enum wire_data_op {
	WIRE_READ = 1,
	WIRE_WRITE = 2,
};

/* Followed by `bytes` of payload for a WRITE. */
struct wire_data_request {
	uint32_t magic;
	uint16_t op;
	uint16_t reserved;
	uint32_t slab;
	uint32_t bytes; /* above 0, and within the slab */
	uint64_t offset;
	uint64_t cookie;
};

/* Followed by `bytes` of payload for a READ that succeeded.  Replies come in
 * the order of the requests.  After one with another status than 0 the server
 * closes the lane. */
struct wire_data_reply {
	uint32_t magic;
	uint32_t status; /* 0, or an enum wire_error_code */
	uint32_t bytes;	 /* of payload; 0 for a WRITE */
	uint32_t reserved;
	uint64_t cookie;
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "the structs are what travels");
_Static_assert(sizeof(struct wire_header) == 16, "wire_header");
_Static_assert(sizeof(struct wire_hello) == 72, "wire_hello");
_Static_assert(sizeof(struct wire_welcome) == 96, "wire_welcome");
_Static_assert(sizeof(struct wire_open) == 16, "wire_open");
_Static_assert(sizeof(struct wire_opened) == 40, "wire_opened");
_Static_assert(sizeof(struct wire_resume) == 24, "wire_resume");
_Static_assert(sizeof(struct wire_resumed) == 40, "wire_resumed");
_Static_assert(sizeof(struct wire_token) == 32, "wire_token");
_Static_assert(sizeof(struct wire_join) == 32, "wire_join");
_Static_assert(sizeof(struct wire_joined) == 8, "wire_joined");
_Static_assert(sizeof(struct wire_alloc) == 8, "wire_alloc");
_Static_assert(sizeof(struct wire_slab) == 32, "wire_slab");
_Static_assert(sizeof(struct wire_free) == 8, "wire_free");
_Static_assert(sizeof(struct wire_freed) == 8, "wire_freed");
_Static_assert(sizeof(struct wire_fenced) == 8, "wire_fenced");
_Static_assert(sizeof(struct wire_pong) == 32, "wire_pong");
_Static_assert(sizeof(struct wire_release) == 8, "wire_release");
_Static_assert(sizeof(struct wire_error) == 128, "wire_error");
_Static_assert(sizeof(struct wire_data_request) == 32, "wire_data_request");
_Static_assert(sizeof(struct wire_data_reply) == 24, "wire_data_reply");

/* A control message: what the rest of the program sees. */
struct wire_message {
	uint16_t type; /* enum wire_type */
	uint32_t cookie;
	union {
		struct wire_hello hello;
		struct wire_welcome welcome;
		struct wire_open open;
		struct wire_opened opened;
		struct wire_resume resume;
		struct wire_resumed resumed;
		struct wire_token token;
		struct wire_join join;
		struct wire_joined joined;
		struct wire_alloc alloc;
		struct wire_slab slab;
		struct wire_free free;
		struct wire_freed freed;
		struct wire_fenced fenced;
		struct wire_pong pong;
		struct wire_release release;
		struct wire_error error;
	};
};

/* The most bytes that an encoded control message has. */
#define WIRE_MESSAGE_MAX (sizeof(struct wire_header) + WIRE_BODY_MAX)

/* All functions below are pure: any thread, no allocation. */

/* Whether NAME may be a name or a zone: a word, that is printable ASCII without
 * spaces, so that it cannot pass for another field of the line it stands in.
 * Its length is not checked. */
bool wire_name_ok(const char *name);

/* The body's size of a message type, or -1 for a type that does not exist. */
int wire_body_bytes(uint16_t type);

/* "HELLO" and so on; "unknown" for a type that does not exist. */
const char *wire_type_name(uint16_t type);

/* Writes MESSAGE as it travels to BUF (at least WIRE_MESSAGE_MAX bytes) and
 * returns how many bytes that are.  The type must exist. */
size_t wire_encode(const struct wire_message *message, void *buf);

/* What wire_decode_header and wire_decode find. */
enum wire_verdict {
	WIRE_OK = 0,
	WIRE_BAD_MAGIC,	  /* not this protocol at all */
	WIRE_BAD_VERSION, /* this protocol, another version */
	WIRE_BAD_TYPE,	  /* no such type, or one not of this direction */
	WIRE_BAD_LENGTH,  /* a body that is not the type's */
	WIRE_BAD_FIELD,	  /* a field's value that no peer may send */
};

const char *wire_verdict_text(enum wire_verdict verdict);

/* Copies a header of sizeof(struct wire_header) bytes, aligned or not, and
 * checks it.  On WIRE_BAD_VERSION the header is filled as well, so that its
 * version can be told. */
enum wire_verdict wire_decode_header(const void *buf, struct wire_header *h);

/* Copies the body that belongs to a header that wire_decode_header found good,
 * and checks every field that can be checked without context. */
enum wire_verdict wire_decode_body(const struct wire_header *h,
				   const void *body,
				   struct wire_message *message);

/* Copies a data frame, aligned or not, and checks its magic, op and reserved
 * fields, and 0 < bytes <= WIRE_DATA_MAX_BYTES of a request.  Whether the range
 * lies within the slab is the caller's to check. */
enum wire_verdict wire_decode_request(const void *buf,
				      struct wire_data_request *frame);
enum wire_verdict wire_decode_reply(const void *buf,
				    struct wire_data_reply *frame);

#endif
