/* The answer of a control socket as rswapctl takes it: received
 * (common/ctlsock.c), parsed (ctl/answer.c), judged and printed (ctl/health.c,
 * ctl/print.c), and compared with the last look (ctl/lastlook.c), which is a
 * file of the state directory.  The input is the answer; a line "----" ends it,
 * and the file of the last look follows. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "answer.h"
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

static void tell(void *arg, const struct finding *finding)
{
	unsigned *findings = arg;

	REQUIRE(*finding->what);
	++*findings;
}

static void use(struct json_object *answer)
{
	struct lastlook look;
	enum health health;
	unsigned findings = 0;
	char value[16];

	health = health_check(answer, tell, &findings);
	REQUIRE((health == HEALTH_GOOD) == !findings);
	health_serves(answer);
	print_plugin(answer, "name", "/dev/nbd0");
	print_memserver(answer, "/socket");
	lastlook_compare("name", answer, &look);
	print_failures(&look);
	if (answer_text(answer, "servers.0.address", value, sizeof value))
		REQUIRE(strlen(value) < sizeof value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size);
	char *end = strstr(text, "----\n");
	size_t bytes = end ? (size_t)(end - text) : strlen(text);
	struct json_object *answer;
	struct error why = { "" };

	file_text = end ? end + strlen("----\n") : "";
	fuzz_socketpair(server_end);
	fuzz_put(server_end[1], text, bytes);
	shutdown(server_end[1], SHUT_WR);
	answer = answer_ask("/socket", "status", &why);
	if (answer)
		use(answer);
	else
		REQUIRE(*why.text);
	answer_put(answer);
	close(server_end[1]);
	free(text);
	return 0;
}
