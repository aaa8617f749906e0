/* Control messages over a stream socket, one at a time, with deadlines. */
#ifndef RSWAP_WIREIO_H
#define RSWAP_WIREIO_H

#include <stdint.h>

#include "error.h"
#include "stream.h"
#include "wire.h"

/* Sends MESSAGE.  0 or a negative errno as stream_send_all gives it. */
int wire_send(struct stream *stream, const struct wire_message *message,
	      uint64_t deadline_ns, struct error *why);

/* Receives one message of any type.  0, or a negative errno: -EPROTO for what
 * is not a message of this protocol version, else as stream_recv_all gives it.
 */
int wire_recv(struct stream *stream, struct wire_message *message,
	      uint64_t deadline_ns, struct error *why);

/* Sends REQUEST, and receives its reply, which has to be of type REPLY_TYPE and
 * have the request's cookie.  0, or a negative errno: -EREMOTEIO when the
 * server answered ERROR (REPLY then holds the ERROR, and WHY its text), -EPROTO
 * when the message is no reply to REQUEST; else as wire_send and wire_recv. */
int wire_call(struct stream *stream, const struct wire_message *request,
	      uint16_t reply_type, struct wire_message *reply,
	      uint64_t deadline_ns, struct error *why);

/* The second half of it, for a REPLY that was received: whether it answers
 * REQUEST. */
int wire_check_reply(const struct wire_message *request, uint16_t reply_type,
		     const struct wire_message *reply, struct error *why);

/* Fills a HELLO that names this program and host. */
void wire_hello_fill(struct wire_message *hello, const char *program);

#endif
