/* Bytes of somebody without a key, to either end of a TLS handshake
 * (common/tls.c).  The first byte chooses the end: even for the server. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "tls.h"

static const struct psk psk = { .name = "node", .key_bytes = 32, .key = "k" };
static struct tls_context *contexts[2];

static const struct psk *find(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, psk.name) ? NULL : &psk;
}

void fuzz_begin(void)
{
	struct error why;

	contexts[0] = tls_server_new(find, NULL, &why);
	contexts[1] = tls_client_new(&psk, &why);
	REQUIRE(contexts[0] && contexts[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct tls_context *context = contexts[input_byte(&in) % 2];
	struct error why = { "" };
	struct tls *tls;
	int end[2], rc;

	fuzz_socketpair(end);
	REQUIRE(!fcntl(end[0], F_SETFL, O_NONBLOCK));
	fuzz_put(end[1], in.data, in.left);
	shutdown(end[1], SHUT_WR);
	tls = tls_open(context, end[0], &why);
	REQUIRE(tls);
	do
		rc = tls_handshake(tls, &why);
	while (rc == -EAGAIN);
	/* nobody proves a key that he does not have */
	REQUIRE(rc < 0 && *why.text && !strchr(why.text, '\n'));
	tls_close(tls);
	close(end[0]);
	close(end[1]);
	return 0;
}
