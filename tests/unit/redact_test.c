#include <stdlib.h>

#include "redact.h"
#include "support.h"

#define KEY "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static struct redact *redact;

static int set_up(void **state)
{
	(void)state;
	redact = redact_new(false);
	return redact ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	redact_free(redact);
	return 0;
}

static void expect(const char *text, const char *wanted)
{
	char *got = NULL;
	size_t size;
	FILE *out = open_memstream(&got, &size);

	assert_non_null(out);
	redact_write(redact, text, out);
	fclose(out);
	assert_string_equal(got, wanted);
	free(got);
}

static void keys_are_taken_out(void **state)
{
	(void)state;
	expect("node-7:" KEY "\n", "node-7:[key]\n");
	expect("\"key\":\"" KEY "\"", "\"key\":\"[key]\"");
	expect("x" KEY "y", "x[key]y");
	expect("0123456789abcdef, a checksum", "0123456789abcdef, a checksum");
}

static void addresses_are_numbered(void **state)
{
	(void)state;
	expect("10.0.0.1:10909 and 10.0.0.2, 10.0.0.1.",
	       "address-1:10909 and address-2, address-1.");
	expect("--listen=10.0.0.2 server-10.0.0.3/24",
	       "--listen=address-2 server-address-3/24");
	expect("[2001:db8::1]:10909", "[address-4]:10909");
	expect("server 2001:DB8::1: it is down",
	       "server address-4: it is down");
	expect("::ffff:10.0.0.1 fe80::2%eth0", "address-5 address-6%eth0");
	expect("fe80:0000:0000:0000:0202:c9ff:fe00:0001", "address-7");
}

static void hardware_addresses_are_taken_out(void **state)
{
	(void)state;
	expect("link 52:54:00:12:34:56 up", "link hardware-address-1 up");
	expect("80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:00:01",
	       "hardware-address-2");
}

static void hosts_are_known_by_a_port_or_by_name(void **state)
{
	(void)state;
	expect("mem1.example.org:10909 and mem2", "host-1:10909 and mem2");
	redact_host(redact, "mem2:10909");
	expect("mem2, MEM2. mem22 xmem2", "host-2, host-2. mem22 xmem2");
}

static void a_known_host_may_have_a_domain(void **state)
{
	(void)state;
	redact_host(redact, "mem1");
	redact_host(redact, "mem2.corp.example");
	redact_host(redact, "local");
	expect("--listen=mem1.corp.example. mem1", "--listen=host-1. host-1");
	expect("MEM2.corp.example.org mem2.corp mem1x.corp",
	       "host-2 mem2.corp mem1x.corp");
	expect("local.", "host-3.");
}

static void the_host_of_a_session_is_taken_out(void **state)
{
	(void)state;
	expect("\"name\": \"nbdkit-rswap@node-7.corp/4711\"",
	       "\"name\": \"nbdkit-rswap@host-1/4711\"");
	expect("rswap-nbd@7/12: gone", "rswap-nbd@host-2/12: gone");
	expect("rswap@swap0.service/cgroup.procs modprobe@nbd.service/ @a/12b",
	       "rswap@swap0.service/cgroup.procs modprobe@nbd.service/ @a/12b");
}

/* As of a server with so many sessions. */
static void thousands_of_hosts(void **state)
{
	char name[32], wanted[32];

	(void)state;
	for (int i = 1; i <= 5000; i++) {
		snprintf(name, sizeof name, "node%d", 10000 + i);
		redact_host(redact, name);
	}
	for (int i = 1; i <= 5000; i++) {
		snprintf(name, sizeof name, "node%d", 10000 + i);
		snprintf(wanted, sizeof wanted, "host-%d", i);
		expect(name, wanted);
		expect(name, wanted);
	}
}

static void what_names_no_machine_stays(void **state)
{
	static const char *const texts[] = {
		"127.0.0.1:10909 [::1]:10909 0.0.0.0 :: localhost:10909",
		"2026-11-29T16:13:21.123Z 16:13:21 +00:00",
		"nbdkit 1.32.5, kernel 6.1.0-25-amd64",
		"\"read_bytes\": 4096, \"lanes\":42",
		"0000:00:1f.2 pci; vm.swappiness = 60",
		"std::string",
		"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		expect(texts[i], texts[i]);
}

static void addresses_stay_if_asked_for(void **state)
{
	(void)state;
	redact_free(redact);
	redact = redact_new(true);
	redact_host(redact, "mem2");
	expect("10.0.0.1 mem2 mem1:10909 " KEY,
	       "10.0.0.1 mem2 mem1:10909 [key]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keys_are_taken_out, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(addresses_are_numbered, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			hardware_addresses_are_taken_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			hosts_are_known_by_a_port_or_by_name, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_known_host_may_have_a_domain,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_host_of_a_session_is_taken_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(thousands_of_hosts, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_names_no_machine_stays,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(addresses_stay_if_asked_for,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
