#include "print.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctlsock.h"
#include "health.h"

/* A value, or something rounded for people. */
struct word {
	char text[128];
};

static struct word value(const char *answer, const char *key)
{
	struct word w;

	if (!ctlsock_value(answer, key, w.text, sizeof w.text))
		snprintf(w.text, sizeof w.text, "-");
	return w;
}

static uint64_t number(const char *answer, const char *key)
{
	return strtoull(value(answer, key).text, NULL, 10);
}

static struct word bytes_word(uint64_t bytes)
{
	static const char units[] = "KMGTP";
	double n = (double)bytes;
	int unit = -1;
	struct word w;

	while (n >= 1024 && unit < 4) {
		n /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(w.text, sizeof w.text, "%" PRIu64 " B", bytes);
	else
		/* 64 GiB, but 1.5 GiB */
		snprintf(w.text, sizeof w.text, "%.*f %ciB",
			 n < 100 && n != (double)(uint64_t)n ? 1 : 0, n,
			 units[unit]);
	return w;
}

/* The value of KEY, a number of bytes. */
static struct word bytes(const char *answer, const char *key)
{
	struct word w = value(answer, key);

	return strcmp(w.text, "-") ? bytes_word(strtoull(w.text, NULL, 10)) : w;
}

/* "server.3.state" */
static struct word indexed(const char *answer, const char *group, int i,
			   const char *key)
{
	char name[64];

	snprintf(name, sizeof name, "%s.%d.%s", group, i, key);
	return value(answer, name);
}

static struct word indexed_bytes(const char *answer, const char *group, int i,
				 const char *key)
{
	char name[64];

	snprintf(name, sizeof name, "%s.%d.%s", group, i, key);
	return bytes(answer, name);
}

/* "0.4 s ago" */
static struct word answered(const char *a, int i)
{
	struct word w = indexed(a, "server", i, "answered_ms");

	if (strcmp(w.text, "-")) {
		double s = strtod(w.text, NULL) / 1000;

		snprintf(w.text, sizeof w.text, "%.1f s ago", s);
	}
	return w;
}

/* How many slabs a server asks to be given back: "3", or "all". */
static struct word asked_back(const char *a, int i)
{
	struct word w = indexed(a, "server", i, "release_slabs");

	if (strtoull(w.text, NULL, 10) == HEALTH_ALL_SLABS)
		snprintf(w.text, sizeof w.text, "all");
	return w;
}

static void print_servers(const char *a)
{
	printf("  %-24s %-12s %-12s %-9s %6s %10s %10s %10s %10s  %s\n",
	       "SERVER", "STATE", "ANSWERED", "TRANSPORT", "SLABS",
	       "ASKED BACK", "FREE", "TOTAL", "RECONNECTS", "ZONE");
	for (int i = 0;; i++) {
		struct word address = indexed(a, "server", i, "address");

		if (!strcmp(address.text, "-"))
			return;
		printf("  %-24s %-12s %-12s %-9s %6s %10s %10s %10s %10s  %s\n",
		       address.text, health_server_state(a, i),
		       answered(a, i).text,
		       indexed(a, "server", i, "transport").text,
		       indexed(a, "server", i, "slabs").text,
		       asked_back(a, i).text,
		       indexed_bytes(a, "server", i, "free_bytes").text,
		       indexed_bytes(a, "server", i, "total_bytes").text,
		       indexed(a, "server", i, "reconnects").text,
		       indexed(a, "server", i, "zone").text);
	}
}

static void print_pages(const char *a)
{
	uint64_t page_bytes = number(a, "page_bytes");
	uint64_t present = number(a, "pages_present");
	uint64_t size_bytes = number(a, "size_bytes");

	printf("  pages     %s present (%s, %.1f %%), %s lost\n",
	       value(a, "pages_present").text,
	       bytes_word(present * page_bytes).text,
	       size_bytes ? 100.0 * (double)present * (double)page_bytes /
				    (double)size_bytes
			  : 0.0,
	       value(a, "pages_lost").text);
}

/* And what takes the servers' memory. */
static void print_slabs(const char *a)
{
	uint64_t present = number(a, "present_bytes");

	printf("  slabs     %s live of %s, %s each; memory taken %s for %s",
	       value(a, "slabs_live").text, value(a, "slabs").text,
	       bytes(a, "slab_bytes").text, bytes(a, "taken_bytes").text,
	       bytes(a, "present_bytes").text);
	if (present)
		printf(" (%.2f)",
		       (double)number(a, "taken_bytes") / (double)present);
	putchar('\n');
}

/* How pages are kept, and what is missing. */
static void print_copies(const char *a)
{
	struct word shares = value(a, "redundancy");
	struct word cipher = value(a, "cipher");

	if (strcmp(shares.text, "-"))
		printf("  copies    shares %s", shares.text);
	else
		printf("  copies    %s", value(a, "replicas").text);
	if (strcmp(cipher.text, "none"))
		printf(", sealed by %s", cipher.text);
	else
		printf(", checksum %s", value(a, "checksum").text);
	printf("; %s slabs short, %s moving, %s without a place; "
	       "%s pages to copy; %s wrong reads\n",
	       value(a, "slabs_short").text, value(a, "slabs_moving").text,
	       value(a, "slabs_stuck").text, value(a, "pages_stale").text,
	       value(a, "wrong_reads").text);
	if (number(a, "slabs_short"))
		printf("  degraded: %s slabs lack a copy; %s pages still to be "
		       "copied\n",
		       value(a, "slabs_short").text,
		       value(a, "pages_stale").text);
}

/* "yes", or "no" and why: then the reason on a line of its own. */
static void print_safety(const char *a)
{
	static const char *const names[] = { "io_flusher", "realtime", "locked",
					     "oom" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct word w;
		char key[32];

		snprintf(key, sizeof key, "safety.%s", names[i]);
		w = value(a, key);
		printf("%s%s %.*s", i ? ", " : "  safety    ", names[i],
		       (int)strcspn(w.text, " "), w.text);
	}
	putchar('\n');
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct word w;
		char key[32];

		snprintf(key, sizeof key, "safety.%s", names[i]);
		w = value(a, key);
		if (strncmp(w.text, "no ", 3) == 0)
			printf("            %s: %s\n", names[i], w.text + 3);
	}
}

static void print_ending(const char *a)
{
	struct word asked = value(a, "asked_to_end_ms");

	if (strcmp(asked.text, "-"))
		printf("  ending: asked to end %" PRIu64 " s ago; it waits for "
		       "swapoff and the end of %s connections\n",
		       (uint64_t)(strtoull(asked.text, NULL, 10) / 1000),
		       value(a, "connections").text);
}

void print_plugin(const char *a, const char *name, const char *device)
{
	printf("%s: %s, %s, process %s, version %s\n", name, device,
	       bytes(a, "size_bytes").text, value(a, "pid").text,
	       value(a, "version").text);
	print_pages(a);
	print_slabs(a);
	print_copies(a);
	printf("  lanes     %s, %s each; %s locked\n", value(a, "lanes").text,
	       bytes(a, "lane_bytes").text, bytes(a, "locked_bytes").text);
	printf("  requests  %s reads (%s), %s writes (%s), %s zeroes, "
	       "%s trims\n",
	       value(a, "reads").text, bytes(a, "read_bytes").text,
	       value(a, "writes").text, bytes(a, "write_bytes").text,
	       value(a, "zeroes").text, value(a, "trims").text);
	printf("  errors    %s (%s reads, %s writes), %s retries\n",
	       value(a, "errors").text, value(a, "read_errors").text,
	       value(a, "write_errors").text, value(a, "retries").text);
	print_ending(a);
	print_safety(a);
	print_servers(a);
}

void print_failures(const struct lastlook *look)
{
	if (look->failed_reads + look->failed_writes)
		printf("  failures: %" PRIu64 " reads and %" PRIu64
		       " writes have failed %s%s\n",
		       look->failed_reads, look->failed_writes, look->since,
		       look->when);
}

void print_device(const struct devstate *d)
{
	printf("  kernel    ");
	if (!d->swap_known)
		printf("/proc/swaps can't be read");
	else if (d->swap.active)
		printf("swap on %s, %s in use, priority %d", d->swap_device,
		       bytes_word(d->swap.used_bytes).text, d->swap.priority);
	else
		printf("no swap");
	if (d->holders[0])
		printf("; held by %s", d->holders);
	printf("; %" PRIu64 " reads and %" PRIu64 " writes in flight\n",
	       d->reads_in_flight, d->writes_in_flight);
}

void print_trouble(void *unused, enum health health, const char *what,
		   const char *remedy)
{
	(void)unused;
	(void)health;
	printf("  trouble: %s\n", what);
	if (remedy)
		printf("        -> %s\n", remedy);
}

static void print_sessions(const char *a)
{
	bool heading = false;

	for (int i = 0;; i++) {
		struct word peer = indexed(a, "session", i, "peer");

		if (!strcmp(peer.text, "-"))
			return;
		if (!heading)
			printf("  %-24s %-28s %-12s %-9s %10s %6s %6s\n",
			       "SESSION", "NAME", "STATE", "TRANSPORT", "SIZE",
			       "SLABS", "LANES");
		heading = true;
		printf("  %-24s %-28s %-12s %-9s %10s %6s %6s\n", peer.text,
		       indexed(a, "session", i, "name").text,
		       indexed(a, "session", i, "state").text,
		       indexed(a, "session", i, "transport").text,
		       indexed_bytes(a, "session", i, "size_bytes").text,
		       indexed(a, "session", i, "slabs").text,
		       indexed(a, "session", i, "lanes").text);
	}
}

/* "1 of 4" */
static struct word used_of(const char *a, int i, const char *used,
			   const char *most)
{
	struct word limit = indexed(a, "tenant", i, most);
	struct word w = indexed(a, "tenant", i, used);
	size_t length = strlen(w.text);

	if (strcmp(limit.text, "none") != 0)
		snprintf(w.text + length, sizeof w.text - length, " of %.20s",
			 limit.text);
	return w;
}

static struct word at_most(const char *a, int i)
{
	struct word w = indexed(a, "tenant", i, "memory_bytes");

	return strcmp(w.text, "none")
		       ? indexed_bytes(a, "tenant", i, "memory_bytes")
		       : w;
}

/* Clients without keys are one tenant, "-", which has no limits. */
static void print_tenants(const char *a)
{
	bool heading = false;

	for (int i = 0;; i++) {
		struct word name = indexed(a, "tenant", i, "name");

		if (!strcmp(name.text, "-"))
			return;
		if (!heading)
			printf("  %-24s %10s %10s %10s %12s %12s %6s\n",
			       "TENANT", "USED", "AT MOST", "GUARANTEED",
			       "SESSIONS", "LANES", "WEIGHT");
		heading = true;
		printf("  %-24s %10s %10s %10s %12s %12s %6s\n", name.text,
		       indexed_bytes(a, "tenant", i, "used_bytes").text,
		       at_most(a, i).text,
		       indexed_bytes(a, "tenant", i, "guaranteed_bytes").text,
		       used_of(a, i, "sessions", "sessions_max").text,
		       used_of(a, i, "lanes", "lanes_max").text,
		       indexed(a, "tenant", i, "weight").text);
	}
}

static void print_listens(const char *a)
{
	printf("  listens  ");
	for (int i = 0;; i++) {
		char key[24];
		struct word address;

		snprintf(key, sizeof key, "listen.%d", i);
		address = value(a, key);
		if (!strcmp(address.text, "-"))
			break;
		printf(" %s", address.text);
	}
	printf(" (%s)\n", value(a, "transports").text);
}

void print_memserver(const char *a, const char *socket)
{
	printf("memory server: %s, process %s, version %s, up %s s\n", socket,
	       value(a, "pid").text, value(a, "version").text,
	       value(a, "uptime_s").text);
	printf("  state     %s, zone %s\n", value(a, "state").text,
	       value(a, "zone").text);
	print_listens(a);
	printf("  memory    %s, %s free, %s resident\n",
	       bytes(a, "memory_bytes").text, bytes(a, "free_bytes").text,
	       bytes(a, "rss_bytes").text);
	printf("  slabs     %s used of %s, %s each, %s in stock\n",
	       value(a, "slabs_used").text, value(a, "slabs_total").text,
	       bytes(a, "slab_bytes").text, value(a, "slabs_stock").text);
	printf("  sessions  %s, %s lanes\n", value(a, "sessions").text,
	       value(a, "lanes").text);
	printf("  requests  %s reads (%s), %s writes (%s) over TCP; "
	       "RDMA isn't seen here\n",
	       value(a, "reads").text, bytes(a, "read_bytes").text,
	       value(a, "writes").text, bytes(a, "write_bytes").text);
	printf("  errors    %s, %s connections refused\n",
	       value(a, "errors").text, value(a, "connections_refused").text);
	printf("  cpu       %.1f s\n", (double)number(a, "cpu_us") / 1e6);
	print_sessions(a);
	print_tenants(a);
}
