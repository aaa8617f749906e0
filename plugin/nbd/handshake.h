/* The fixed newstyle handshake of NBD, from the server's greeting to the first
 * request, without a socket: bytes in, bytes out.
 *
 *   GREETED --client's flags--> OPTIONS --EXPORT_NAME, or GO--> TRANSMISSION
 *      |                          |
 *      +----malformed, or ABORT---+-----------------------------> OVER
 *
 * Every export name is the device: the socket has one device. */
#ifndef RSWAP_NBD_HANDSHAKE_H
#define RSWAP_NBD_HANDSHAKE_H

#include "protocol.h"

enum handshake_state {
	HANDSHAKE_GREETED,
	HANDSHAKE_OPTIONS,
	HANDSHAKE_TRANSMISSION,
	HANDSHAKE_OVER,
};

/* The longest option that is taken: two names, and what belongs to them. */
#define HANDSHAKE_OPTION_MAX (2 * NBD_STRING_MAX + 64)

/* The most bytes that one step answers: EXPORT_NAME with its zeroes, or two
 * replies with their content. */
#define HANDSHAKE_ANSWER_MAX 160u

struct handshake {
	enum handshake_state state;
	uint64_t size; /* of the device, bytes */
	uint32_t block_bytes;
	bool no_zeroes;
	struct nbd_terms terms;
	const char *error; /* OVER: why, or NULL after an ABORT */
};

struct handshake_answer {
	size_t bytes;
	uint8_t data[HANDSHAKE_ANSWER_MAX];
};

/* Begins: ANSWER is the greeting. */
void handshake_begin(struct handshake *h, uint64_t size, uint32_t block_bytes,
		     struct handshake_answer *answer);

/* Takes one message of the client, of the N bytes at IN.  Returns its bytes.  0
 * where it is not there as a whole: more bytes are needed.  Not called in
 * TRANSMISSION or OVER. */
size_t handshake_step(struct handshake *h, const uint8_t *in, size_t n,
		      struct handshake_answer *answer);

#endif
