/* Which connection goes where there is no room for one more. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session/admission.h"

#define MANY (3 * ADMISSION_MAX)

static struct admission admission;
static struct newcomer newcomers[MANY];

static struct net_addr v4(const char *text)
{
	struct net_addr addr = { .length = sizeof(struct sockaddr_in) };
	struct sockaddr_in *in = (struct sockaddr_in *)&addr.storage;

	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)rand());
	assert_int_equal(inet_pton(AF_INET, text, &in->sin_addr), 1);
	return addr;
}

static struct net_addr v6(const char *text)
{
	struct net_addr addr = { .length = sizeof(struct sockaddr_in6) };
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&addr.storage;

	in->sin6_family = AF_INET6;
	in->sin6_port = htons((uint16_t)rand());
	assert_int_equal(inet_pton(AF_INET6, text, &in->sin6_addr), 1);
	return addr;
}

static int setup(void **state)
{
	(void)state;
	admission_init(&admission);
	return 0;
}

static struct net_addr somewhere(unsigned i)
{
	struct net_addr addr = v4("10.0.0.0");
	struct sockaddr_in *in = (struct sockaddr_in *)&addr.storage;

	in->sin_addr.s_addr = htonl(0x0a000000 + i);
	return addr;
}

static struct error why; /* of the last one that had to go */

static struct newcomer *enter(unsigned i, const struct net_addr *addr,
			      bool known)
{
	return admission_enter(&admission, &newcomers[i], addr, known, &why);
}

static void the_oldest_of_an_address_goes(void **state)
{
	struct net_addr there = v4("192.0.2.1");
	struct net_addr here = v4("192.0.2.2");

	(void)state;
	assert_null(enter(0, &here, false));
	for (unsigned i = 1; i <= ADMISSION_ADDRESS_MAX; i++)
		assert_null(enter(i, &there, false));
	for (unsigned i = 1; i < 100; i++)
		assert_ptr_equal(
			enter(ADMISSION_ADDRESS_MAX + i, &there, false),
			&newcomers[i]);
	assert_non_null(strstr(why.text, "limit of 64 "));
	assert_non_null(strstr(why.text, "of one address"));
	assert_int_equal(admission.count[0], ADMISSION_ADDRESS_MAX + 1);
	assert_ptr_equal(admission_oldest(&admission), &newcomers[0]);
}

static void the_oldest_of_all_goes(void **state)
{
	struct net_addr addr;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		addr = somewhere(i);
		assert_ptr_equal(enter(i, &addr, false),
				 i < ADMISSION_MAX
					 ? NULL
					 : &newcomers[i - ADMISSION_MAX]);
	}
	assert_non_null(strstr(why.text, "limit of 256 "));
	assert_non_null(strstr(why.text, "of all addresses"));
	assert_int_equal(admission.count[0], ADMISSION_MAX);
}

static void strangers_take_no_slot_of_the_known(void **state)
{
	struct net_addr addr = v4("192.0.2.1");

	(void)state;
	assert_null(enter(0, &addr, true));
	for (unsigned i = 1; i < MANY; i++) {
		addr = somewhere(i);
		assert_ptr_not_equal(enter(i, &addr, false), &newcomers[0]);
	}
	assert_int_equal(admission.count[1], 1);
	/* and where descriptors are short they go first */
	for (unsigned i = 0; i < ADMISSION_MAX; i++)
		assert_ptr_not_equal(admission_oldest(&admission),
				     &newcomers[0]);
	assert_ptr_equal(admission_oldest(&admission), &newcomers[0]);
	assert_null(admission_oldest(&admission));
}

static void enter_with(unsigned i, const struct net_addr *addr,
		       enum proof proof)
{
	assert_null(enter(i, addr, true));
	admission_prove(&newcomers[i], proof);
}

static void one_with_a_key_goes_last(void **state)
{
	struct net_addr there = v4("192.0.2.1");

	(void)state;
	enter_with(0, &there, PROOF_KEY);
	enter_with(1, &there, PROOF_HEARD);
	for (unsigned i = 2; i < MANY; i++)
		assert_ptr_equal(
			enter(i, &there, true),
			i < ADMISSION_ADDRESS_MAX
				? NULL
				: &newcomers[i - ADMISSION_ADDRESS_MAX + 2]);
}

static void those_with_a_key_leave_room(void **state)
{
	struct net_addr there = v4("192.0.2.1");
	const unsigned half = ADMISSION_ADDRESS_MAX / 2;

	(void)state;
	for (unsigned i = 0; i < ADMISSION_ADDRESS_MAX; i++)
		enter_with(i, &there, i <= half ? PROOF_KEY : PROOF_NONE);
	/* half and one have it: the oldest goes, of whatever kind */
	assert_ptr_equal(enter(ADMISSION_ADDRESS_MAX, &there, true),
			 &newcomers[0]);
	assert_ptr_equal(enter(ADMISSION_ADDRESS_MAX + 1, &there, true),
			 &newcomers[half + 1]);
}

/* First messages that are repeated, or handshakes that do not go on, take no
 * place of a client with the key. */
static void those_that_are_only_heard_go_before(void **state)
{
	struct net_addr there = v4("192.0.2.1");

	(void)state;
	enter_with(0, &there, PROOF_KEY);
	enter_with(1, &there, PROOF_NONE);
	for (unsigned i = 2; i < ADMISSION_ADDRESS_MAX; i++)
		enter_with(i, &there, PROOF_HEARD);
	for (unsigned i = 1; i < 10; i++) {
		assert_ptr_equal(enter(ADMISSION_ADDRESS_MAX + i, &there, true),
				 &newcomers[i]);
		admission_prove(&newcomers[ADMISSION_ADDRESS_MAX + i],
				PROOF_HEARD);
	}
}

static void whoever_left_is_not_counted(void **state)
{
	struct net_addr there = v4("192.0.2.1");

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		assert_null(enter(i, &there, i % 2));
		admission_leave(&admission, &newcomers[i]);
		admission_leave(&admission, &newcomers[i]);
	}
	assert_int_equal(admission.count[0], 0);
	assert_int_equal(admission.count[1], 0);
}

static void assert_same(struct net_addr a, struct net_addr b, bool same)
{
	assert_int_equal(admission_same_address(&a, &b), same);
	assert_int_equal(admission_same_address(&b, &a), same);
}

static void tells_peers_apart(void **state)
{
	(void)state;
	assert_same(v4("192.0.2.1"), v4("192.0.2.1"), true);
	assert_same(v4("192.0.2.1"), v4("192.0.2.2"), false);
	assert_same(v4("192.0.2.1"), v6("::ffff:192.0.2.1"), true);
	assert_same(v4("192.0.2.1"), v6("::ffff:192.0.2.2"), false);
	assert_same(v6("2001:db8::1"), v6("2001:db8::ffff:2"), true);
	assert_same(v6("2001:db8::1"), v6("2001:db8:0:1::1"), false);
	assert_same(v6("fe80::1"), v6("fe80::1"), true);
	assert_same(v6("fe80::1"), v6("fe80::2"), false);
	assert_same(v4("192.0.2.1"), v6("2001:db8::1"), false);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		TEST(the_oldest_of_an_address_goes),
		TEST(the_oldest_of_all_goes),
		TEST(strangers_take_no_slot_of_the_known),
		TEST(one_with_a_key_goes_last),
		TEST(those_with_a_key_leave_room),
		TEST(those_that_are_only_heard_go_before),
		TEST(whoever_left_is_not_counted),
		TEST(tells_peers_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
