#include "topview.h"

#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "cells.h"
#include "clock.h"
#include "flow.h"
#include "health.h"

/* "1234", "12.3k", "1.2M" */
static struct word rate_words(const struct flow *flow, double rate)
{
	struct word w = { "-" };

	if (!flow || !flow->known)
		return w;
	if (rate < 9999.5)
		snprintf(w.text, sizeof w.text, "%.0f", rate);
	else if (rate < 999950)
		snprintf(w.text, sizeof w.text, "%.1fk", rate / 1e3);
	else
		snprintf(w.text, sizeof w.text, "%.1fM", rate / 1e6);
	return w;
}

static struct word bytes_words(const struct flow *flow, double rate)
{
	return flow && flow->known ? words_bytes((uint64_t)rate)
				   : (struct word){ "-" };
}

static const struct flow *flow_of(const struct target *target,
				  struct json_object *answer)
{
	return flow_look(target->name, answer, answer_number(answer, "pid"),
			 clock_now_ns());
}

/* Of one of its servers. */
static const struct flow *flow_of_server(const struct target *target,
					 struct json_object *answer, size_t i)
{
	struct json_object *server =
		answer_at(answer, answer_path("servers.%zu", i).text);
	char name[256];

	snprintf(name, sizeof name, "%.60s\n%.120s", target->name,
		 cell_text(server, "address").text);
	return flow_look(name, server, answer_number(answer, "pid"),
			 clock_now_ns());
}

/* --- a screen --- */

void topview_title(const struct topview *view, unsigned interval_s)
{
	fprintf(view->out, "rswap  %s  every %u s  q: end%*s\n", view->time,
		interval_s, (int)view->columns, "");
}

struct found {
	unsigned n;
	const char *first;
};

static void count_finding(void *arg, const struct finding *finding)
{
	struct found *found = arg;

	if (found->n++ == 0)
		found->first = finding_name(finding);
}

/* "2 findings (server-not-up ...): rswapctl check" */
static void print_findings(FILE *out, struct json_object *answer)
{
	struct found found = { 0 };

	health_check(answer, count_finding, &found);
	if (found.n)
		fprintf(out, "  %u finding%s (%s%s): rswapctl check\n", found.n,
			found.n == 1 ? "" : "s", found.first,
			found.n == 1 ? "" : " ...");
}

static void print_plugin_head(FILE *out, const struct target *target,
			      struct json_object *a)
{
	uint64_t size = answer_number(a, "size_bytes");
	uint64_t present = answer_number(a, "pages_present") *
			   answer_number(a, "page_bytes");

	fprintf(out, "%s: %s, %s, %s (%.1f %%) in use, %s pages lost\n",
		target->name,
		target->state && *target->state->device ? target->state->device
							: "no nbd device",
		words_bytes(size).text, words_bytes(present).text,
		size ? 100.0 * (double)present / (double)size : 0.0,
		cell_text(a, "pages_lost").text);
}

static void print_memserver_head(FILE *out, const struct target *target,
				 struct json_object *a)
{
	fprintf(out, "%s: %s, %s of %s free, sessions: %zu\n", target->name,
		cell_text(a, "state").text, cell_bytes(a, "free_bytes").text,
		cell_bytes(a, "memory_bytes").text,
		answer_count(a, "sessions"));
}

#define FLOW_FORMAT    "  %-6s %7s/s %10s/s   p50 %-7s p99 %-7s  "
#define FLOW_COLUMNS   62
#define SERVER_FORMAT  "  %-21.21s %-10s %7s %8s %7s %7s  "
#define SERVER_COLUMNS 69

static void print_spark(const struct topview *view, const struct spark *spark,
			size_t used)
{
	size_t columns = view->columns > used ? view->columns - used : 0;

	fprintf(view->out, "%s\n", spark_draw(spark, columns, view->utf8).text);
}

static void print_flows(const struct topview *view, const struct flow *flow,
			struct json_object *a)
{
	fprintf(view->out, FLOW_FORMAT, "reads",
		rate_words(flow, flow->reads).text,
		bytes_words(flow, flow->read_bytes).text,
		cell_latency(a, "read_latency.p50_us").text,
		cell_latency(a, "read_latency.p99_us").text);
	print_spark(view, &flow->past_reads, FLOW_COLUMNS);
	fprintf(view->out, FLOW_FORMAT, "writes",
		rate_words(flow, flow->writes).text,
		bytes_words(flow, flow->write_bytes).text,
		cell_latency(a, "write_latency.p50_us").text,
		cell_latency(a, "write_latency.p99_us").text);
	print_spark(view, &flow->past_writes, FLOW_COLUMNS);
}

static void print_servers(const struct topview *view,
			  const struct target *target, struct json_object *a)
{
	size_t n = answer_count(a, "servers");

	if (n)
		fprintf(view->out, SERVER_FORMAT "READS\n", "SERVER", "STATE",
			"READS/S", "WRITES/S", "P50", "P99");
	for (size_t i = 0; i < n; i++) {
		struct json_object *s =
			answer_at(a, answer_path("servers.%zu", i).text);
		const struct flow *flow = flow_of_server(target, a, i);

		if (!flow)
			continue;
		fprintf(view->out, SERVER_FORMAT, cell_text(s, "address").text,
			health_server_state(a, (int)i),
			rate_words(flow, flow->reads).text,
			rate_words(flow, flow->writes).text,
			cell_latency(s, "read_latency.p50_us").text,
			cell_latency(s, "read_latency.p99_us").text);
		print_spark(view, &flow->past_reads, SERVER_COLUMNS);
	}
}

void topview_screen(const struct topview *view, const struct target *target,
		    struct json_object *answer, const struct error *why)
{
	const struct flow *flow;

	fputc('\n', view->out);
	if (!answer) {
		fprintf(view->out, "%s: no answer: %s\n", target->name,
			why->text);
		return;
	}
	if (answer_is(answer, "role", "memserver"))
		print_memserver_head(view->out, target, answer);
	else
		print_plugin_head(view->out, target, answer);
	print_findings(view->out, answer);
	flow = flow_of(target, answer);
	if (flow)
		print_flows(view, flow, answer);
	print_servers(view, target, answer);
}

/* --- a table --- */

#define TABLE_FORMAT                                                           \
	"%-19s %-16s %-24s %-10s %8s %10s %7s %7s %8s %10s %7s %7s\n"

void topview_heading(FILE *out)
{
	fprintf(out, TABLE_FORMAT, "TIME", "NAME", "SERVER", "STATE", "READS/S",
		"BYTES/S", "P50", "P99", "WRITES/S", "BYTES/S", "P50", "P99");
}

/* A is the whole answer, or one of its servers. */
static void print_row(const struct topview *view, const char *name,
		      const char *server, const char *state,
		      const struct flow *flow, struct json_object *a)
{
	if (!flow || !flow->known)
		return;
	fprintf(view->out, TABLE_FORMAT, view->time, name, server, state,
		rate_words(flow, flow->reads).text,
		bytes_words(flow, flow->read_bytes).text,
		cell_latency(a, "read_latency.p50_us").text,
		cell_latency(a, "read_latency.p99_us").text,
		rate_words(flow, flow->writes).text,
		bytes_words(flow, flow->write_bytes).text,
		cell_latency(a, "write_latency.p50_us").text,
		cell_latency(a, "write_latency.p99_us").text);
}

void topview_table(const struct topview *view, const struct target *target,
		   struct json_object *answer, const struct error *why)
{
	if (!answer) {
		fprintf(view->out, "%-19s %-16s no answer: %s\n", view->time,
			target->name, why->text);
		return;
	}
	print_row(view, target->name, "-", cell_text(answer, "state").text,
		  flow_of(target, answer), answer);
	for (size_t i = 0; i < answer_count(answer, "servers"); i++) {
		struct json_object *s =
			answer_at(answer, answer_path("servers.%zu", i).text);

		print_row(view, target->name, cell_text(s, "address").text,
			  health_server_state(answer, (int)i),
			  flow_of_server(target, answer, i), s);
	}
}
