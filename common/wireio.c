#include "wireio.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net.h"

int wire_send(struct stream *stream, const struct wire_message *message,
	      uint64_t deadline_ns, struct error *why)
{
	char buf[WIRE_MESSAGE_MAX];
	size_t bytes = wire_encode(message, buf);
	int rc = stream_send_all(stream, buf, bytes, deadline_ns);

	if (rc)
		error_set(why, "sending %s: %s", wire_type_name(message->type),
			  strerror(-rc));
	return rc;
}

static int refuse(const struct wire_header *h, enum wire_verdict verdict,
		  struct error *why)
{
	if (verdict == WIRE_BAD_VERSION)
		error_set(why,
			  "the server speaks version %u of the protocol, and "
			  "this program speaks version %u",
			  h->version, WIRE_VERSION);
	else
		error_set(why, "bad message from the server: %s",
			  wire_verdict_text(verdict));
	return -EPROTO;
}

int wire_recv(struct stream *stream, struct wire_message *message,
	      uint64_t deadline_ns, struct error *why)
{
	char buf[WIRE_MESSAGE_MAX];
	struct wire_header h;
	enum wire_verdict verdict;
	int rc = stream_recv_all(stream, buf, sizeof h, deadline_ns);

	if (rc) {
		error_set(why, "waiting for a message: %s", strerror(-rc));
		return rc;
	}
	verdict = wire_decode_header(buf, &h);
	if (verdict != WIRE_OK)
		return refuse(&h, verdict, why);
	rc = stream_recv_all(stream, buf, h.body_bytes, deadline_ns);
	if (rc) {
		error_set(why, "in the middle of %s: %s",
			  wire_type_name(h.type), strerror(-rc));
		return rc;
	}
	verdict = wire_decode_body(&h, buf, message);
	return verdict == WIRE_OK ? 0 : refuse(&h, verdict, why);
}

int wire_call(struct stream *stream, const struct wire_message *request,
	      uint16_t reply_type, struct wire_message *reply,
	      uint64_t deadline_ns, struct error *why)
{
	int rc = wire_send(stream, request, deadline_ns, why);

	if (!rc)
		rc = wire_recv(stream, reply, deadline_ns, why);
	return rc ? rc : wire_check_reply(request, reply_type, reply, why);
}

int wire_check_reply(const struct wire_message *request, uint16_t reply_type,
		     const struct wire_message *reply, struct error *why)
{
	if (reply->type == WIRE_ERROR) {
		error_set(why, "%s", reply->error.text);
		return -EREMOTEIO;
	}
	if (reply->type != reply_type || reply->cookie != request->cookie) {
		error_set(why, "the server answered %s with %s",
			  wire_type_name(request->type),
			  wire_type_name(reply->type));
		return -EPROTO;
	}
	return 0;
}

void wire_hello_fill(struct wire_message *hello, const char *program)
{
	char host[32] = "";

	gethostname(host, sizeof host - 1);
	for (char *c = host; *c; c++) {
		char word[] = { *c, '\0' };

		if (!wire_name_ok(word))
			*c = '_'; /* the kernel takes any bytes as a name */
	}
	memset(hello, 0, sizeof *hello);
	hello->type = WIRE_HELLO;
	snprintf(hello->hello.name, sizeof hello->hello.name, "%s@%s/%d",
		 program, host, (int)getpid());
}
