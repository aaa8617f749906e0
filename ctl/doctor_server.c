#include "doctor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "net.h"
#include "size.h"
#include "wire.h"

#define SERVER_NS (5 * NS_PER_S)

/* 0, a negative errno, or an enum wire_verdict; PEER_VERSION is the server's
 * when it is another one. */
static int greet(int fd, uint64_t deadline_ns, struct wire_message *welcome,
		 unsigned *peer_version)
{
	struct wire_message hello = { .type = WIRE_HELLO, .cookie = 1 };
	uint8_t buf[WIRE_MESSAGE_MAX];
	struct wire_header header;
	enum wire_verdict verdict;
	int err;

	snprintf(hello.hello.name, sizeof hello.hello.name, "rswapctl doctor");
	err = net_send_all(fd, buf, wire_encode(&hello, buf), deadline_ns);
	if (!err)
		err = net_recv_all(fd, buf, sizeof header, deadline_ns);
	if (err)
		return err;
	verdict = wire_decode_header(buf, &header);
	*peer_version =
		verdict == WIRE_BAD_VERSION ? header.version : WIRE_VERSION;
	if (verdict != WIRE_OK)
		return (int)verdict;
	err = net_recv_all(fd, buf, header.body_bytes, deadline_ns);
	return err ? err : (int)wire_decode_body(&header, buf, welcome);
}

static void tell_welcome(const char *server, const struct wire_welcome *w)
{
	bool rdma = w->transports & WIRE_TRANSPORT_RDMA;
	bool tcp = w->transports & WIRE_TRANSPORT_TCP;

	doctor_tell(w->free_bytes < w->slab_bytes ? FOUND_WARN : FOUND_OK,
		    server,
		    w->free_bytes < w->slab_bytes
			    ? "start the server with more --memory"
			    : NULL,
		    "memory server, protocol %d, %s of %s free, %s%s%s",
		    WIRE_VERSION, size_format(w->free_bytes).text,
		    size_format(w->total_bytes).text, rdma ? "rdma" : "",
		    rdma && tcp ? " and " : "", tcp ? "tcp" : "");
}

static void tell_answer(const char *server, int result, unsigned peer_version,
			const struct wire_message *m)
{
	if (result < 0)
		doctor_tell(FOUND_FAIL, server,
			    "is a rswap-memserver listening there?",
			    "connected, but no greeting: %s",
			    strerror(-result));
	else if (result == WIRE_BAD_VERSION)
		doctor_tell(FOUND_FAIL, server,
			    "install the same version on both machines",
			    "speaks protocol version %u, this is %d",
			    peer_version, WIRE_VERSION);
	else if (result != WIRE_OK)
		doctor_tell(FOUND_FAIL, server,
			    "something else listens there: check the port",
			    "not a memory server: %s",
			    wire_verdict_text((enum wire_verdict)result));
	else if (m->type == WIRE_ERROR)
		doctor_tell(FOUND_FAIL, server, "see the server's log",
			    "refuses: %s", m->error.text);
	else if (m->type != WIRE_WELCOME)
		doctor_tell(FOUND_FAIL, server,
			    "install the same version on both machines",
			    "answers %s instead of WELCOME",
			    wire_type_name(m->type));
	else
		tell_welcome(server, &m->welcome);
}

void doctor_server(const char *server)
{
	uint64_t deadline_ns = clock_now_ns() + SERVER_NS;
	unsigned peer_version = WIRE_VERSION;
	struct wire_message answer = { 0 };
	struct net_name name;
	struct net_addr addr;
	struct reason why;
	int fd;

	if (!net_name_parse(server, WIRE_DEFAULT_PORT, &name, &why) ||
	    net_resolve(&name, &addr, &why) < 0) {
		doctor_tell(FOUND_FAIL, server, "name it as HOST[:PORT]", "%s",
			    why.text);
		return;
	}
	fd = net_connect(&addr, deadline_ns, &why);
	if (fd < 0) {
		doctor_tell(FOUND_FAIL, server,
			    "start rswap-memserver there with --listen on this "
			    "address; check the firewall",
			    "%s", why.text);
		return;
	}
	tell_answer(server, greet(fd, deadline_ns, &answer, &peer_version),
		    peer_version, &answer);
	close(fd);
}
