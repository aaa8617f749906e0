/* Several clients at a time, each a thread with a shadow of what it wrote; some
 * of them end each session with something nasty.  The honest ones must never
 * read another byte than they wrote, or zero.  Under ThreadSanitizer the server
 * ends with an error status if it found a race. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "memserver_client.h"

#define SLAB	  (1u << 20)
#define PAGE	  4096u
#define PAGES	  (SLAB / PAGE)
#define CLIENTS	  6
#define LANES	  3
#define MY_SLABS  4
#define RUN_NS	  (5 * NS_PER_S)
#define ROUND_OPS 400
#define GRACE_S	  1 /* --grace */

static uint64_t end_ns;

struct my_slab {
	uint32_t number;
	uint64_t shadow[PAGES]; /* 0: never written */
};

struct tester {
	pthread_t thread;
	uint64_t random;
	bool hostile;
	struct client client;
	int lanes[LANES];
	struct my_slab slabs[MY_SLABS];
	unsigned slab_count;
	uint64_t stamp;
	uint64_t ops;
};

static uint64_t draw(struct tester *t, uint64_t below)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random % below;
}

/* A thread cannot fail a test: it ends the program. */
static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "memserver_stress: %s\n", what);
	abort();
}

static void open_lanes(struct tester *t)
{
	for (int i = 0; i < LANES; i++)
		t->lanes[i] = lane_open(&t->client);
}

static void close_lanes(struct tester *t)
{
	for (int i = 0; i < LANES; i++)
		close(t->lanes[i]);
}

static void add_slab(struct tester *t)
{
	struct my_slab *slab = &t->slabs[t->slab_count];

	if (t->slab_count == MY_SLABS ||
	    !client_alloc(&t->client, &slab->number))
		return;
	memset(slab->shadow, 0, sizeof slab->shadow);
	t->slab_count++;
}

static void drop_slab(struct tester *t)
{
	struct wire_message m =
		client_free(&t->client, t->slabs[--t->slab_count].number);

	check(m.type == WIRE_FREED, "FREE was refused");
}

static void fill(uint64_t *page, uint64_t stamp)
{
	for (unsigned i = 0; i < PAGE / sizeof *page; i++)
		page[i] = stamp ? stamp + i : 0;
}

static void write_page(struct tester *t, int lane, struct my_slab *slab,
		       unsigned page)
{
	uint64_t bytes[PAGE / 8];

	slab->shadow[page] = ++t->stamp << 20;
	fill(bytes, slab->shadow[page]);
	check(lane_write(lane, slab->number, page * PAGE, bytes, PAGE) == 0,
	      "a WRITE failed");
}

static void read_page(int lane, struct my_slab *slab, unsigned page)
{
	uint64_t expected[PAGE / 8];
	uint64_t bytes[PAGE / 8];

	fill(expected, slab->shadow[page]);
	check(lane_read(lane, slab->number, page * PAGE, bytes, PAGE) == 0,
	      "a READ failed");
	check(!memcmp(bytes, expected, PAGE), "a page is not what was written");
}

static void fence(struct tester *t)
{
	struct wire_message m = { .type = WIRE_FENCE };

	m = client_ask(&t->client, m);
	check(m.type == WIRE_FENCED, "FENCE was refused");
	check(m.fenced.lanes_closed == LANES, "FENCE left a lane");
	close_lanes(t);
	open_lanes(t);
}

/* The connection breaks, and all that it had is there on the next one.  False:
 * a busy machine let the grace time pass before, and the session is over. */
static bool resume(struct tester *t)
{
	struct client lost = t->client;
	uint64_t lost_ns = clock_now_ns();
	struct wire_message m;
	bool breaks = draw(t, 2);

	if (breaks)
		client_lose(&lost);
	m = client_resume(&t->client, &lost);
	if (breaks && error_of(&m) == WIRE_E_NO_SESSION &&
	    clock_now_ns() - lost_ns >= GRACE_S * NS_PER_S)
		return false;
	check(m.type == WIRE_RESUMED, "RESUME was refused");
	check(m.resumed.slabs == t->slab_count, "slabs are missing");
	if (lost.fd >= 0)
		client_lose(&lost);
	close_lanes(t);
	open_lanes(t);
	return true;
}

/* False: the session is over. */
static bool one_op(struct tester *t)
{
	uint64_t what = draw(t, 200);
	struct my_slab *slab;
	int lane = t->lanes[draw(t, LANES)];

	if (!t->slab_count || what < 6) {
		add_slab(t);
		return true;
	}
	slab = &t->slabs[draw(t, t->slab_count)];
	if (what < 10)
		drop_slab(t);
	else if (what == 10)
		fence(t);
	else if (what == 11)
		return resume(t);
	else if (what < 100)
		write_page(t, lane, slab, (unsigned)draw(t, PAGES));
	else
		read_page(lane, slab, (unsigned)draw(t, PAGES));
	t->ops++;
	return true;
}

/* The answers are not checked. */
static void be_nasty(struct tester *t)
{
	uint32_t number = t->slab_count ? t->slabs[0].number : 0;
	struct wire_message m = { .type = WIRE_FREE, .free.slab = number };
	uint8_t noise[1000];

	memset(noise, (int)draw(t, 256), sizeof noise);
	switch (draw(t, 5)) {
	case 0: /* FREE in the middle of a WRITE */
		lane_request(t->lanes[0], WIRE_WRITE, number, 0, SLAB, 1);
		send_bytes(t->lanes[0], noise, sizeof noise);
		client_send(&t->client, &m);
		break;
	case 1: /* much to send to a client that does not read */
		for (int i = 0; i < 300; i++)
			lane_request(t->lanes[0], WIRE_READ, number, 0, SLAB,
				     1);
		break;
	case 2:
		send_bytes(t->lanes[0], noise, sizeof noise);
		break;
	case 3:
		send_bytes(t->client.fd, noise, sizeof noise);
		break;
	default: /* other people's slabs */
		lane_request(t->lanes[0], WIRE_READ,
			     (uint32_t)draw(t, 2 * SLABS), 0, PAGE, 1);
	}
}

/* In one way or the other; one that is only lost goes when its time is over. */
static void leave(struct tester *t)
{
	if (draw(t, 4))
		client_close(&t->client);
	else
		client_lose(&t->client);
}

static void *run(void *arg)
{
	struct tester *t = arg;

	while (clock_left_ns(end_ns)) {
		bool lives = true;

		t->slab_count = 0;
		client_open(&t->client, &server);
		open_lanes(t);
		for (int i = 0; lives && i < ROUND_OPS && clock_left_ns(end_ns);
		     i++)
			lives = one_op(t);
		if (lives && t->hostile)
			be_nasty(t);
		leave(t);
		close_lanes(t);
	}
	return NULL;
}

static void honest_clients_notice_nothing(void **state)
{
	static struct tester testers[CLIENTS];
	uint64_t ops = 0;

	(void)state;
	/* fewer slabs than the clients want, and one thread more */
	server_start((const char *const[]){ "--memory=12M", "--threads=3",
					    "--stock=1", "--grace=1", NULL });
	end_ns = clock_now_ns() + RUN_NS;
	for (unsigned i = 0; i < CLIENTS; i++) {
		testers[i].random = 88172645463325252ull + i * 7919;
		testers[i].stamp = (uint64_t)i << 32;
		testers[i].hostile = i % 2;
		assert_int_equal(pthread_create(&testers[i].thread, NULL, run,
						&testers[i]),
				 0);
	}
	while (clock_left_ns(end_ns))
		daemon_status(&server, "sessions");
	for (unsigned i = 0; i < CLIENTS; i++) {
		pthread_join(testers[i].thread, NULL);
		ops += testers[i].ops;
	}
	assert_true(daemon_becomes(&server, "sessions", 0));
	assert_true(daemon_becomes(&server, "slabs_used", 0));
	assert_true(ops > 100);
	daemon_stop(&server);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(honest_clients_notice_nothing),
	};

	return RUN_DAEMON_TESTS(argc, argv, tests);
}
