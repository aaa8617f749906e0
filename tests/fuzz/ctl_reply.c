/* The answer of a control socket as rswapctl takes it: received
 * (common/ctlsock.c), judged and printed (ctl/health.c, ctl/print.c), and
 * compared with the last look (ctl/lastlook.c), which is a file of the state
 * directory.  The input is the answer; a line "----" ends it, and the file of
 * the last look follows. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "ctlsock.h"
#include "fuzz.h"
#include "health.h"
#include "lastlook.h"
#include "print.h"

static int server_end[2];
static const char *file_text;

/* ctlsock.c's and lastlook.c's. */
int __wrap_net_connect_unix(const char *path, struct error *why);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__real_fopen(const char *path, const char *mode);

int __wrap_net_connect_unix(const char *path, struct error *why)
{
	(void)path, (void)why;
	return server_end[0];
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
	if (strstr(path, "/.looks/"))
		return fuzz_open(file_text, strlen(file_text));
	return __real_fopen(path, mode);
}

void fuzz_begin(void)
{
	stdout = __real_fopen("/dev/null", "we");
	REQUIRE(stdout);
}

static void tell(void *arg, const char *what)
{
	unsigned *faults = arg;

	REQUIRE(*what);
	++*faults;
}

static void use(const char *answer)
{
	struct lastlook look;
	enum health health;
	unsigned faults = 0;
	char value[16];

	health = health_check(answer, tell, &faults);
	REQUIRE((health == HEALTH_GOOD) == !faults);
	health_serves(answer);
	print_plugin(answer, "name", "/dev/nbd0");
	print_memserver(answer, "/socket");
	lastlook_compare("name", answer, &look);
	print_failures(&look);
	if (ctlsock_value(answer, "pid", value, sizeof value))
		REQUIRE(strlen(value) < sizeof value && !strchr(value, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size);
	char *end = strstr(text, "----\n");
	size_t bytes = end ? (size_t)(end - text) : strlen(text);
	char answer[2048];
	struct error why = { "" };

	file_text = end ? end + strlen("----\n") : "";
	fuzz_socketpair(server_end);
	fuzz_put(server_end[1], text, bytes);
	shutdown(server_end[1], SHUT_WR);
	if (!ctlsock_ask("/socket", "status", answer, sizeof answer,
			 clock_now_ns() + 60 * NS_PER_S, &why)) {
		REQUIRE(strlen(answer) <= bytes && bytes < sizeof answer);
		use(answer);
	} else {
		REQUIRE(*why.text);
	}
	close(server_end[1]);
	free(text);
	return 0;
}
