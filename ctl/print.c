#include "print.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cells.h"
#include "health.h"

/* --- a plugin --- */

#define SERVER_FORMAT                                                          \
	"  %-24s %-12s %-12s %-9s %6s %10s %10s %10s %8s %8s %10s  %s\n"

static void print_server(struct json_object *a, int i)
{
	struct json_object *s = answer_at(a, answer_path("servers.%d", i).text);

	printf(SERVER_FORMAT, cell_text(s, "address").text,
	       health_server_state(a, i), cell_ago(s, "answered_ms").text,
	       cell_text(s, "transport").text, cell_text(s, "slabs").text,
	       cell_text(s, "release_slabs").text,
	       cell_bytes(s, "free_bytes").text,
	       cell_bytes(s, "total_bytes").text,
	       cell_latency(s, "read_latency.p50_us").text,
	       cell_latency(s, "read_latency.p99_us").text,
	       cell_text(s, "reconnects").text, cell_text(s, "zone").text);
}

static void print_servers(struct json_object *a)
{
	printf(SERVER_FORMAT, "SERVER", "STATE", "ANSWERED", "TRANSPORT",
	       "SLABS", "ASKED BACK", "FREE", "TOTAL", "READ P50", "READ P99",
	       "RECONNECTS", "ZONE");
	for (size_t i = 0; i < answer_count(a, "servers"); i++)
		print_server(a, (int)i);
}

static void print_pages(struct json_object *a)
{
	uint64_t present_bytes = answer_number(a, "pages_present") *
				 answer_number(a, "page_bytes");
	uint64_t size_bytes = answer_number(a, "size_bytes");

	printf("  pages     %s present (%s, %.1f %%), %s lost\n",
	       cell_text(a, "pages_present").text,
	       words_bytes(present_bytes).text,
	       size_bytes ? 100.0 * (double)present_bytes / (double)size_bytes
			  : 0.0,
	       cell_text(a, "pages_lost").text);
}

/* And what takes the servers' memory. */
static void print_slabs(struct json_object *a)
{
	uint64_t present = answer_number(a, "present_bytes");

	printf("  slabs     %s live of %s, %s each; memory taken %s for %s",
	       cell_text(a, "slabs_live").text, cell_text(a, "slabs").text,
	       cell_bytes(a, "slab_bytes").text,
	       cell_bytes(a, "taken_bytes").text,
	       cell_bytes(a, "present_bytes").text);
	if (present)
		printf(" (%.2f)", (double)answer_number(a, "taken_bytes") /
					  (double)present);
	putchar('\n');
}

/* How pages are kept, and what is missing. */
static void print_copies(struct json_object *a)
{
	struct cell shares = cell_text(a, "redundancy");
	struct cell cipher = cell_text(a, "cipher");

	if (strcmp(shares.text, "-"))
		printf("  copies    shares %s", shares.text);
	else
		printf("  copies    %s", cell_text(a, "replicas").text);
	if (strcmp(cipher.text, "none"))
		printf(", sealed by %s", cipher.text);
	else
		printf(", checksum %s", cell_text(a, "checksum").text);
	printf("; %s slabs short, %s moving, %s without a place; "
	       "%s pages to copy; %s wrong reads\n",
	       cell_text(a, "slabs_short").text,
	       cell_text(a, "slabs_moving").text,
	       cell_text(a, "slabs_stuck").text,
	       cell_text(a, "pages_stale").text,
	       cell_text(a, "wrong_reads").text);
	if (answer_number(a, "slabs_short"))
		printf("  degraded: %s slabs lack a copy; %s pages still to be "
		       "copied\n",
		       cell_text(a, "slabs_short").text,
		       cell_text(a, "pages_stale").text);
}

/* How far repairing and moving have come. */
static void print_progress(struct json_object *a)
{
	uint64_t page_bytes = answer_number(a, "page_bytes");
	uint64_t done = answer_number(a, "repair.done_pages");
	uint64_t left = answer_number(a, "repair.left_pages");
	uint64_t rate = answer_number(a, "repair.pages_per_s");

	if (!answer_is(a, "repair.running", "yes") || done + left == 0)
		return;
	printf("  copying: %s of %s (%" PRIu64 " %%) in %s, ",
	       words_bytes(done * page_bytes).text,
	       words_bytes((done + left) * page_bytes).text,
	       100 * done / (done + left),
	       words_span(answer_number(a, "repair.since_s")).text);
	if (rate)
		printf("%s a second, %s left\n",
		       words_bytes(rate * page_bytes).text,
		       words_span(answer_number(a, "repair.left_s")).text);
	else
		printf("nothing moves now\n");
}

void print_scrub(struct json_object *a)
{
	uint64_t pages = answer_number(a, "scrub.pages");
	uint64_t done = answer_number(a, "scrub.done_pages");
	uint64_t took_s = answer_number(a, "scrub.took_s");

	if (!answer_number(a, "scrub.begun"))
		return;
	printf("  scrub     %s", cell_text(a, "scrub.state").text);
	if (answer_at(a, "scrub.ended_s"))
		printf(" %s",
		       words_ago(1000 * answer_number(a, "scrub.ended_s"))
			       .text);
	printf(": %" PRIu64 " of %" PRIu64 " pages in %s", done, pages,
	       words_span(took_s).text);
	if (answer_is(a, "scrub.state", "running") && done && pages > done)
		printf(", %s left",
		       words_span(took_s * (pages - done) / done + 1).text);
	printf("; %s wrong, %s lost, %s unread\n",
	       cell_text(a, "scrub.wrong_pages").text,
	       cell_text(a, "scrub.lost_pages").text,
	       cell_text(a, "scrub.unread_pages").text);
}

static const char *const settings[] = { "io_flusher", "realtime", "locked",
					"oom" };
#define N_SETTINGS (sizeof settings / sizeof settings[0])

/* "yes", or "no" and why: then the reason on a line of its own. */
static void print_safety(struct json_object *a)
{
	for (size_t i = 0; i < N_SETTINGS; i++)
		printf("%s%s %s", i ? ", " : "  safety    ", settings[i],
		       cell_text(
			       a,
			       answer_path("safety.%s.holds", settings[i]).text)
			       .text);
	putchar('\n');
	for (size_t i = 0; i < N_SETTINGS; i++) {
		struct answer_path error =
			answer_path("safety.%s.error", settings[i]);

		if (answer_at(a, error.text))
			printf("            %s: %s\n", settings[i],
			       cell_text(a, error.text).text);
	}
}

static void print_ending(struct json_object *a)
{
	if (answer_at(a, "asked_to_end_ms"))
		printf("  ending: asked to end %s; it waits for swapoff and "
		       "the end of %s connections\n",
		       cell_ago(a, "asked_to_end_ms").text,
		       cell_text(a, "connections").text);
}

static void print_latency(struct json_object *a)
{
	printf("  latency   reads p50 %s, p99 %s; writes p50 %s, p99 %s "
	       "(of the last %s)\n",
	       cell_latency(a, "read_latency.p50_us").text,
	       cell_latency(a, "read_latency.p99_us").text,
	       cell_latency(a, "write_latency.p50_us").text,
	       cell_latency(a, "write_latency.p99_us").text,
	       words_span(answer_number(a, "read_latency.window_ms") / 1000)
		       .text);
}

/* A call of etcd takes milliseconds. */
#define SLOW_MS 1000
/* A few servers at rest write so seldom: then it is no fault. */
#define SILENT_S 8

/* How etcd does, by the pool of a plugin or a memory server. */
static void print_etcd(struct json_object *a)
{
	uint64_t heard_s = answer_number(a, "pool.heard_s");
	uint64_t call_ms = answer_number(a, "pool.call_ms");

	printf("etcd at %s", cell_text(a, "pool.endpoint").text);
	if (answer_at(a, "pool.error")) {
		printf(": %s\n", cell_text(a, "pool.error").text);
		return;
	}
	if (call_ms >= SLOW_MS)
		printf(", slow: its last call took %s",
		       words_latency((double)call_ms * 1e3).text);
	if (heard_s >= SILENT_S)
		printf(", silent for %s", words_span(heard_s).text);
	putchar('\n');
}

/* Where its servers come from. */
static void print_followed(struct json_object *a)
{
	if (!answer_at(a, "pool"))
		return;
	printf("  pool      %s, %s for %s: %s servers, %s serving; "
	       "%s in use of %s allowed; ",
	       cell_text(a, "pool.name").text, cell_text(a, "pool.state").text,
	       words_span(answer_number(a, "pool.since_s")).text,
	       cell_text(a, "pool.registered").text,
	       cell_text(a, "pool.serving").text,
	       cell_text(a, "pool.used").text,
	       cell_text(a, "pool.servers_max").text);
	print_etcd(a);
	if (!answer_at(a, "pool.reserve_bytes"))
		return;
	printf("  reserved  %s of %s",
	       cell_bytes(a, "pool.reserved_bytes").text,
	       cell_bytes(a, "pool.reserve_bytes").text);
	if (answer_at(a, "pool.reserve_error"))
		printf(": %s", cell_text(a, "pool.reserve_error").text);
	putchar('\n');
}

void print_plugin(struct json_object *a, const char *name, const char *device)
{
	printf("%s: %s, %s, process %s, version %s, up %s\n", name, device,
	       cell_bytes(a, "size_bytes").text, cell_text(a, "pid").text,
	       cell_text(a, "version").text,
	       words_span(answer_number(a, "uptime_s")).text);
	print_pages(a);
	print_slabs(a);
	print_copies(a);
	print_progress(a);
	print_scrub(a);
	printf("  lanes     %s, %s each; %s locked\n",
	       cell_text(a, "lanes").text, cell_bytes(a, "lane_bytes").text,
	       cell_bytes(a, "locked_bytes").text);
	printf("  requests  %s reads (%s), %s writes (%s), %s zeroes, "
	       "%s trims\n",
	       cell_text(a, "reads").text, cell_bytes(a, "read_bytes").text,
	       cell_text(a, "writes").text, cell_bytes(a, "write_bytes").text,
	       cell_text(a, "zeroes").text, cell_text(a, "trims").text);
	print_latency(a);
	printf("  errors    %s (%s reads, %s writes), %s retries\n",
	       cell_text(a, "errors").text, cell_text(a, "read_errors").text,
	       cell_text(a, "write_errors").text, cell_text(a, "retries").text);
	print_ending(a);
	print_safety(a);
	print_followed(a);
	print_servers(a);
}

/* --- behind a plugin --- */

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
	printf("  front     %s: %s\n", d->state->front->what,
	       *d->state->choice ? d->state->choice : "unknown why");
	printf("  kernel    ");
	if (!d->swap_known)
		printf("/proc/swaps can't be read");
	else if (d->swap.active)
		printf("swap on %s, %s in use, priority %d", d->swap_device,
		       words_bytes(d->swap.used_bytes).text, d->swap.priority);
	else
		printf("no swap");
	if (d->holders[0])
		printf("; held by %s", d->holders);
	printf("; %" PRIu64 " reads and %" PRIu64 " writes in flight\n",
	       d->reads_in_flight, d->writes_in_flight);
}

void print_trouble(void *unused, const struct finding *finding)
{
	const char *action = finding_action(finding);

	(void)unused;
	printf("  trouble: %s [%s]\n", finding->what, finding_name(finding));
	if (action)
		printf("        -> %s\n", action);
}

/* --- a memory server --- */

#define SESSION_FORMAT "  %-24s %-28s %-12s %-12s %-9s %10s %6s %6s\n"

static void print_sessions(struct json_object *a)
{
	size_t n = answer_count(a, "sessions");

	if (n)
		printf(SESSION_FORMAT, "SESSION", "NAME", "STATE", "SINCE",
		       "TRANSPORT", "SIZE", "SLABS", "LANES");
	for (size_t i = 0; i < n; i++) {
		struct json_object *s =
			answer_at(a, answer_path("sessions.%zu", i).text);

		printf(SESSION_FORMAT, cell_text(s, "peer").text,
		       cell_text(s, "name").text, cell_text(s, "state").text,
		       words_span(answer_number(s, "state_s")).text,
		       cell_text(s, "transport").text,
		       cell_bytes(s, "size_bytes").text,
		       cell_text(s, "slabs").text, cell_text(s, "lanes").text);
	}
}

/* "1 of 4" */
static struct cell used_of(struct json_object *tenant, const char *used,
			   const char *most)
{
	struct cell cell = cell_text(tenant, used);
	size_t length = strlen(cell.text);

	if (answer_at(tenant, most))
		snprintf(cell.text + length, sizeof cell.text - length,
			 " of %.20s", cell_text(tenant, most).text);
	return cell;
}

#define TENANT_FORMAT "  %-24s %10s %10s %10s %10s %12s %12s %6s\n"

/* Clients without keys are one tenant, "-", which has no limits. */
static void print_tenants(struct json_object *a)
{
	bool heading = false;

	for (size_t i = 0; i < answer_count(a, "tenants"); i++) {
		struct json_object *t =
			answer_at(a, answer_path("tenants.%zu", i).text);

		if (answer_is(t, "name", "-"))
			continue;
		if (!heading)
			printf(TENANT_FORMAT, "TENANT", "USED", "AT MOST",
			       "GUARANTEED", "RESERVED", "SESSIONS", "LANES",
			       "WEIGHT");
		heading = true;
		printf(TENANT_FORMAT, cell_text(t, "name").text,
		       cell_bytes(t, "used_bytes").text,
		       answer_at(t, "memory_bytes")
			       ? cell_bytes(t, "memory_bytes").text
			       : "none",
		       cell_bytes(t, "guaranteed_bytes").text,
		       cell_bytes(t, "reserved_bytes").text,
		       used_of(t, "sessions", "sessions_max").text,
		       used_of(t, "lanes", "lanes_max").text,
		       cell_text(t, "weight").text);
	}
}

static void print_listens(struct json_object *a)
{
	printf("  listens  ");
	for (size_t i = 0; i < answer_count(a, "listen"); i++)
		printf(" %s",
		       cell_text(a, answer_path("listen.%zu", i).text).text);
	printf(" (");
	for (size_t i = 0; i < answer_count(a, "transports"); i++)
		printf("%s%s", i ? "," : "",
		       cell_text(a, answer_path("transports.%zu", i).text)
			       .text);
	puts(")");
}

/* How much of what it had when it began to drain has gone. */
static void print_drain(struct json_object *a)
{
	uint64_t all = answer_number(a, "drain.slabs_at_start");
	uint64_t left = answer_number(a, "drain.slabs_left");
	uint64_t gone = all > left ? all - left : 0;

	if (!answer_at(a, "drain"))
		return;
	printf("  draining: %" PRIu64 " of %" PRIu64
	       " slabs have gone (%" PRIu64 " %%) in %s",
	       gone, all, all ? 100 * gone / all : 100,
	       words_span(answer_number(a, "drain.since_s")).text);
	if (answer_at(a, "drain.left_s"))
		printf(", %s left",
		       words_span(answer_number(a, "drain.left_s")).text);
	putchar('\n');
}

/* Where clients find it. */
static void print_pool(struct json_object *a)
{
	if (!answer_at(a, "pool"))
		return;
	printf("  pool      %s, %s as %s for %s, ",
	       cell_text(a, "pool.name").text, cell_text(a, "pool.state").text,
	       cell_text(a, "pool.address").text,
	       words_span(answer_number(a, "pool.since_s")).text);
	print_etcd(a);
}

void print_memserver(struct json_object *a, const char *socket)
{
	printf("memory server: %s, process %s, version %s, up %s\n", socket,
	       cell_text(a, "pid").text, cell_text(a, "version").text,
	       words_span(answer_number(a, "uptime_s")).text);
	printf("  state     %s, zone %s\n", cell_text(a, "state").text,
	       cell_text(a, "zone").text);
	print_drain(a);
	print_listens(a);
	print_pool(a);
	printf("  memory    %s, %s free, %s resident\n",
	       cell_bytes(a, "memory_bytes").text,
	       cell_bytes(a, "free_bytes").text,
	       cell_bytes(a, "rss_bytes").text);
	printf("  slabs     %s used of %s, %s each, %s in stock\n",
	       cell_text(a, "slabs_used").text,
	       cell_text(a, "slabs_total").text,
	       cell_bytes(a, "slab_bytes").text,
	       cell_text(a, "slabs_stock").text);
	printf("  sessions  %zu, %s lanes\n", answer_count(a, "sessions"),
	       cell_text(a, "lanes").text);
	printf("  requests  %s reads (%s), %s writes (%s) over TCP; "
	       "RDMA isn't seen here\n",
	       cell_text(a, "reads").text, cell_bytes(a, "read_bytes").text,
	       cell_text(a, "writes").text, cell_bytes(a, "write_bytes").text);
	printf("  errors    %s, %s connections refused\n",
	       cell_text(a, "errors").text,
	       cell_text(a, "connections_refused").text);
	printf("  cpu       %.1f s\n",
	       (double)answer_number(a, "cpu_us") / 1e6);
	print_sessions(a);
	print_tenants(a);
}
