#include "doctor.h"

#include <errno.h>

#include "clock.h"
#include "net.h"
#include "size.h"
#include "wireio.h"

#define SERVER_NS (5 * NS_PER_S)

static void tell_welcome(const char *server, const struct wire_welcome *w)
{
	bool rdma = w->transports & WIRE_TRANSPORT_RDMA;
	bool tcp = w->transports & WIRE_TRANSPORT_TCP;

	doctor_tell(w->free_bytes < w->slab_bytes ? FOUND_WARN : FOUND_OK,
		    server,
		    w->free_bytes < w->slab_bytes
			    ? "name another server, or detach this one's "
			      "clients and restart it with more --memory"
			    : NULL,
		    "memory server, protocol %d, %s of %s free, %s%s%s",
		    WIRE_VERSION, size_format(w->free_bytes).text,
		    size_format(w->total_bytes).text, rdma ? "rdma" : "",
		    rdma && tcp ? " and " : "", tcp ? "tcp" : "");
}

/* Asks for the WELCOME.  If something else comes, prints what it was. */
static void greet(const char *server, struct stream *stream,
		  const struct tls_context *tls, uint64_t deadline_ns)
{
	struct wire_message hello, welcome = { .type = 0 };
	struct error why;
	int rc = stream_secure(stream, tls, deadline_ns, &why);

	if (rc) {
		doctor_tell(FOUND_FAIL, server,
			    "compare the key files (--psk-file) of both sides",
			    "no TLS connection: %s", why.text);
		return;
	}
	wire_hello_fill(&hello, "rswapctl-doctor");
	rc = wire_call(stream, &hello, WIRE_WELCOME, &welcome, deadline_ns,
		       &why);
	if (!rc)
		tell_welcome(server, &welcome.welcome);
	else if (rc == -EPROTO)
		doctor_tell(FOUND_FAIL, server,
			    "check the port, and that both machines have the "
			    "same version of rswap",
			    "not a memory server of this version: %s",
			    why.text);
	else if (rc == -EREMOTEIO)
		doctor_tell(FOUND_FAIL, server,
			    welcome.error.code == WIRE_E_IDENTITY
				    ? "give --psk-file=FILE with this "
				      "machine's key"
				    : "see the server's log",
			    "refuses: %s", why.text);
	else
		doctor_tell(FOUND_FAIL, server,
			    "is a rswap-memserver listening there?",
			    "connected, but no greeting: %s", why.text);
}

void doctor_server(const char *server, const struct tls_context *tls)
{
	uint64_t deadline_ns = clock_now_ns() + SERVER_NS;
	struct net_name name;
	struct net_addrs addrs;
	struct error why;
	struct stream stream;

	if (!net_name_parse(server, WIRE_DEFAULT_PORT, &name, &why) ||
	    net_resolve(&name, &addrs, &why) < 0) {
		doctor_tell(FOUND_FAIL, server, "name it as HOST[:PORT]", "%s",
			    why.text);
		return;
	}
	stream = stream_plain(net_connect_any(&addrs, deadline_ns, NULL, &why));
	if (stream.fd < 0) {
		doctor_tell(FOUND_FAIL, server,
			    "start rswap-memserver there with --listen on this "
			    "address; check the firewall",
			    "%s", why.text);
		return;
	}
	greet(server, &stream, tls, deadline_ns);
	stream_close(&stream);
}
