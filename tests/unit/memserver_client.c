#include "memserver_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "answer.h"
#include "clock.h"
#include "ctlsock.h"
#include "net.h"

#define PATIENCE_NS (20 * NS_PER_S)

static uint64_t soon(void)
{
	return clock_now_ns() + PATIENCE_NS;
}

/* --- the daemon --- */

static uint16_t await_port(struct daemon *d)
{
	uint64_t deadline_ns = soon();
	unsigned port = 0;

	while (!port && clock_left_ns(deadline_ns)) {
		FILE *file = fopen(d->port_file, "r");

		assert_int_equal(waitpid(d->pid, NULL, WNOHANG), 0);
		if (file) {
			assert_int_equal(fscanf(file, "%u", &port), 1);
			fclose(file);
		}
		usleep(10000);
	}
	assert_in_range(port, 1, 65535);
	return (uint16_t)port;
}

#define OPTIONS_MAX 16

void daemon_start(struct daemon *d, const char *program,
		  const char *const options[])
{
	char port_option[100];
	char pid_option[100];
	char control_option[100];
	const char *argv[OPTIONS_MAX + 7] = {
		program,	   "--listen=127.0.0.1:0",
		"--transport=tcp", port_option,
		pid_option,	   control_option
	};
	const char *tmp = getenv("TMPDIR");

	for (int i = 0; options[i]; i++) {
		assert_true(i < OPTIONS_MAX);
		argv[6 + i] = options[i];
	}

	snprintf(d->dir, sizeof d->dir, "%.40s/memserver.XXXXXX",
		 tmp && *tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->port_file, sizeof d->port_file, "%s/port", d->dir);
	snprintf(d->control, sizeof d->control, "%s/control", d->dir);
	snprintf(d->pidfile, sizeof d->pidfile, "%s/pid", d->dir);
	snprintf(port_option, sizeof port_option, "--port-file=%s",
		 d->port_file);
	snprintf(pid_option, sizeof pid_option, "--pidfile=%s", d->pidfile);
	snprintf(control_option, sizeof control_option, "--control=%s",
		 d->control);
	d->pid = fork();
	assert_true(d->pid >= 0);
	if (d->pid == 0) {
		/* a test that aborts leaves nothing behind */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(program, (char *const *)argv);
		_exit(127);
	}
	d->port = await_port(d);
}

void daemon_await_end(struct daemon *d)
{
	uint64_t deadline_ns = soon();
	int status;
	pid_t ended;

	while (!(ended = waitpid(d->pid, &status, WNOHANG)) &&
	       clock_left_ns(deadline_ns))
		usleep(5000);
	if (!ended) {
		/* a test that failed left a client which has slabs */
		kill(d->pid, SIGKILL);
		waitpid(d->pid, &status, 0);
	}
	assert_int_equal(ended, d->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* fails where a file was left */
	assert_int_equal(rmdir(d->dir), 0);
}

void daemon_stop(struct daemon *d)
{
	assert_int_equal(kill(d->pid, SIGTERM), 0);
	daemon_await_end(d);
}

const char *daemon_program;
struct daemon server;
uint8_t data[SLAB];
uint8_t back[SLAB];

void server_start(const char *const options[])
{
	const char *all[OPTIONS_MAX + 1] = { "--memory=16M", "--slab-size=1M",
					     "--threads=2" };

	for (int i = 0; options[i]; i++) {
		assert_true(3 + i < OPTIONS_MAX);
		all[3 + i] = options[i];
	}
	daemon_start(&server, daemon_program, all);
	for (unsigned i = 0; i < SLAB; i++)
		data[i] = (uint8_t)(i * 7 + i / PAGE + 1);
}

int server_stop(void **state)
{
	(void)state;
	daemon_stop(&server);
	return 0;
}

const char *daemon_ask(struct daemon *d, const char *command)
{
	static char answer[1 << 20];
	struct error why;

	if (ctlsock_ask(d->control, command, answer, sizeof answer, soon(),
			&why) < 0)
		fail_msg("%s: %s", command, why.text);
	return answer;
}

uint64_t daemon_status(struct daemon *d, const char *key)
{
	struct error why;
	struct json_object *answer =
		answer_parse(daemon_ask(d, "status"), &why);
	uint64_t number;

	assert_non_null(answer_at(answer, key));
	number = answer_count(answer, key);
	if (!number)
		number = answer_number(answer, key);
	answer_put(answer);
	return number;
}

static bool becomes(struct daemon *d, const char *key, uint64_t min,
		    uint64_t max)
{
	uint64_t deadline_ns = soon();
	uint64_t now = daemon_status(d, key);

	while ((now < min || now > max) && clock_left_ns(deadline_ns)) {
		usleep(20000);
		now = daemon_status(d, key);
	}
	return now >= min && now <= max;
}

bool daemon_becomes(struct daemon *d, const char *key, uint64_t value)
{
	return becomes(d, key, value, value);
}

bool daemon_falls(struct daemon *d, const char *key, uint64_t value)
{
	return becomes(d, key, 0, value);
}

/* --- the control connection --- */

int raw_connect(const struct daemon *d)
{
	struct net_name name = { .host = "127.0.0.1", .port = d->port };
	struct net_addrs addrs;
	struct error why;
	int fd;

	assert_int_equal(net_resolve(&name, &addrs, &why), 0);
	fd = net_connect(&addrs.addr[0], soon(), &why);
	if (fd < 0)
		fail_msg("%s", why.text);
	return fd;
}

int raw_connect_from(const struct daemon *d, const char *from)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(d->port) };
	struct sockaddr_in local = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
	assert_int_equal(inet_pton(AF_INET, from, &local.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof local), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

bool send_bytes(int fd, const void *buf, size_t bytes)
{
	return net_send_all(fd, buf, bytes, soon()) == 0;
}

bool recv_bytes(int fd, void *buf, size_t bytes)
{
	return net_recv_all(fd, buf, bytes, soon()) == 0;
}

bool is_closed(int fd)
{
	char byte;

	return net_recv_all(fd, &byte, 1, soon()) == -ECONNRESET;
}

static bool recv_message(int fd, struct wire_message *m);

void assert_turned_away(int fd, const char *why)
{
	struct wire_message m;

	assert_true(recv_message(fd, &m));
	assert_int_equal(error_of(&m), WIRE_E_LIMIT);
	assert_int_equal(m.cookie, 0);
	assert_non_null(strstr(m.error.text, why));
	assert_true(is_closed(fd));
}

static bool recv_message(int fd, struct wire_message *m)
{
	uint8_t bytes[WIRE_MESSAGE_MAX];
	struct wire_header h;

	if (!recv_bytes(fd, bytes, sizeof h))
		return false;
	assert_int_equal(wire_decode_header(bytes, &h), WIRE_OK);
	if (!recv_bytes(fd, bytes + sizeof h, h.body_bytes))
		return false;
	assert_int_equal(wire_decode_body(&h, bytes + sizeof h, m), WIRE_OK);
	return true;
}

void client_send(struct client *c, struct wire_message *m)
{
	uint8_t bytes[WIRE_MESSAGE_MAX];

	m->cookie = ++c->cookie;
	assert_true(send_bytes(c->fd, bytes, wire_encode(m, bytes)));
}

static bool noted_release(struct client *c, const struct wire_message *m)
{
	if (m->type != WIRE_RELEASE)
		return false;
	c->release_slabs = m->release.slabs;
	return true;
}

struct wire_message client_ask(struct client *c, struct wire_message m)
{
	struct wire_message reply;

	client_send(c, &m);
	do {
		assert_true(recv_message(c->fd, &reply));
	} while (noted_release(c, &reply));
	assert_int_equal(reply.cookie, m.cookie);
	return reply;
}

void client_await_release(struct client *c)
{
	struct wire_message m;

	assert_true(recv_message(c->fd, &m));
	assert_true(noted_release(c, &m));
}

uint32_t error_of(const struct wire_message *reply)
{
	return reply->type == WIRE_ERROR ? reply->error.code : 0;
}

void client_greet_on(struct client *c, const struct daemon *d, int fd)
{
	struct wire_message m = { .type = WIRE_HELLO };

	*c = (struct client){ .daemon = d, .fd = fd };
	strcpy(m.hello.name, "test");
	m = client_ask(c, m);
	assert_int_equal(m.type, WIRE_WELCOME);
	c->welcome = m.welcome;
}

void client_open(struct client *c, const struct daemon *d)
{
	struct wire_message m;
	struct wire_message open = {
		.type = WIRE_OPEN,
		.open = { .size_bytes = 1 << 30,
			  .lanes = 4,
			  .transport = WIRE_TRANSPORT_TCP },
	};

	client_greet_on(c, d, raw_connect(d));
	m = client_ask(c, open);
	assert_int_equal(m.type, WIRE_OPENED);
	c->opened = m.opened;
	c->session = m.opened.session;
}

int client_open_slab(struct client *c, const struct daemon *d, uint32_t *slab)
{
	int lane;

	client_open(c, d);
	lane = lane_open(c);
	assert_true(client_alloc(c, slab));
	return lane;
}

struct wire_message client_resume(struct client *c, const struct client *old)
{
	struct wire_message m = { .type = WIRE_RESUME };
	struct wire_opened opened = old->opened;
	uint64_t label = old->label;

	client_greet_on(c, old->daemon, raw_connect(old->daemon));
	c->opened = opened;
	c->session = opened.session;
	c->label = label;
	m.resume.session = opened.session;
	memcpy(m.resume.token, opened.token, sizeof m.resume.token);
	m = client_ask(c, m);
	if (m.type == WIRE_RESUMED)
		memcpy(c->opened.token, m.resumed.token,
		       sizeof c->opened.token);
	return m;
}

void client_lose(struct client *c)
{
	close(c->fd);
	c->fd = -1;
}

void client_close(struct client *c)
{
	struct wire_message bye = { .type = WIRE_BYE };
	uint8_t bytes[WIRE_MESSAGE_MAX];

	/* the server may have closed before */
	send_bytes(c->fd, bytes, wire_encode(&bye, bytes));
	client_lose(c);
}

void client_close_lane(struct client *c, int lane)
{
	close(lane);
	client_close(c);
}

bool client_alloc(struct client *c, uint32_t *slab)
{
	struct wire_message m = { .type = WIRE_ALLOC,
				  .alloc.label = ++c->label };

	m = client_ask(c, m);
	if (m.type == WIRE_ERROR)
		assert_int_equal(m.error.code, WIRE_E_NO_MEMORY);
	else
		assert_int_equal(m.type, WIRE_SLAB);
	*slab = m.slab.slab;
	return m.type == WIRE_SLAB;
}

struct wire_message client_free(struct client *c, uint32_t slab)
{
	struct wire_message m = { .type = WIRE_FREE, .free.slab = slab };

	return client_ask(c, m);
}

struct wire_message client_token(struct client *c)
{
	struct wire_message m = { .type = WIRE_LANE };

	m = client_ask(c, m);
	assert_int_equal(m.type, WIRE_TOKEN);
	return m;
}

/* --- lanes --- */

int lane_join_on(int fd, const struct wire_token *token)
{
	struct wire_message m = { .type = WIRE_JOIN };
	uint8_t bytes[WIRE_MESSAGE_MAX];

	m.join.session = token->session;
	m.join.lane = token->lane;
	memcpy(m.join.token, token->token, sizeof m.join.token);
	assert_true(send_bytes(fd, bytes, wire_encode(&m, bytes)));
	assert_true(recv_message(fd, &m));
	if (m.type == WIRE_JOINED)
		return fd;
	assert_int_equal(error_of(&m), WIRE_E_TOKEN);
	close(fd);
	return -1;
}

int lane_join(const struct daemon *d, const struct wire_token *token)
{
	return lane_join_on(raw_connect(d), token);
}

int lane_open(struct client *c)
{
	struct wire_message token = client_token(c);
	int fd = lane_join(c->daemon, &token.token);

	assert_true(fd >= 0);
	return fd;
}

#define REQUEST_BYTES sizeof(struct wire_data_request)

static void encode(uint8_t *frame, uint16_t op, uint32_t slab, uint64_t offset,
		   uint32_t bytes, uint64_t cookie)
{
	struct wire_data_request request = {
		.magic = WIRE_DATA_MAGIC,
		.op = op,
		.slab = slab,
		.bytes = bytes,
		.offset = offset,
		.cookie = cookie,
	};

	memcpy(frame, &request, sizeof request);
}

bool lane_request(int fd, uint16_t op, uint32_t slab, uint64_t offset,
		  uint32_t bytes, uint64_t cookie)
{
	uint8_t frame[REQUEST_BYTES];

	encode(frame, op, slab, offset, bytes, cookie);
	return send_bytes(fd, frame, sizeof frame);
}

/* A READ goes before it in the same packet: its reply says that the server has
 * taken both. */
void lane_begin_write(int fd, uint32_t slab, uint32_t bytes, const void *buf,
		      uint32_t first_bytes)
{
	uint8_t packet[2 * REQUEST_BYTES + 32768];
	struct wire_data_reply reply;
	uint8_t byte;

	assert_true(first_bytes <= 32768);
	encode(packet, WIRE_READ, slab, 0, 1, 1);
	encode(packet + REQUEST_BYTES, WIRE_WRITE, slab, 0, bytes, 2);
	memcpy(packet + 2 * REQUEST_BYTES, buf, first_bytes);
	assert_true(send_bytes(fd, packet, 2 * REQUEST_BYTES + first_bytes));
	assert_true(lane_reply(fd, &reply));
	assert_int_equal(reply.status, 0);
	assert_true(recv_bytes(fd, &byte, 1));
}

bool lane_reply(int fd, struct wire_data_reply *reply)
{
	uint8_t frame[sizeof *reply];

	if (!recv_bytes(fd, frame, sizeof frame))
		return false;
	assert_int_equal(wire_decode_reply(frame, reply), WIRE_OK);
	return true;
}

int lane_write(int fd, uint32_t slab, uint64_t offset, const void *buf,
	       uint32_t bytes)
{
	struct wire_data_reply reply;

	if (!lane_request(fd, WIRE_WRITE, slab, offset, bytes, 11) ||
	    !send_bytes(fd, buf, bytes) || !lane_reply(fd, &reply))
		return -1;
	assert_int_equal(reply.bytes, 0);
	if (!reply.status)
		assert_int_equal(reply.cookie, 11);
	return (int)reply.status;
}

int lane_read(int fd, uint32_t slab, uint64_t offset, void *buf, uint32_t bytes)
{
	struct wire_data_reply reply;

	if (!lane_request(fd, WIRE_READ, slab, offset, bytes, 12) ||
	    !lane_reply(fd, &reply))
		return -1;
	assert_int_equal(reply.cookie, 12);
	if (reply.status)
		return (int)reply.status;
	assert_int_equal(reply.bytes, bytes);
	return recv_bytes(fd, buf, bytes) ? 0 : -1;
}
