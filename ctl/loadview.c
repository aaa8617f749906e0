#include "loadview.h"

#include <inttypes.h>
#include <libnbd.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "answer.h"
#include "load.h"
#include "run.h"
#include "words.h"

static const struct {
	enum load_op op;
	const char *name;
	unsigned depth;
} kinds[] = {
	{ LOAD_READ, "read", 1 },
	{ LOAD_WRITE, "write", 1 },
	{ LOAD_READ, "read", 32 },
	{ LOAD_WRITE, "write", 32 },
};

void loadview_print_setup(struct json_object *status)
{
	size_t n = answer_count(status, "servers");
	char text[64];

	for (size_t i = 0; i < n; i++) {
		struct answer_path server = answer_path("servers.%zu", i);

		answer_text(status, answer_path("%s.address", server.text).text,
			    text, sizeof text);
		printf("server  %s", text);
		answer_text(status,
			    answer_path("%s.transport", server.text).text, text,
			    sizeof text);
		printf(" over %s, %s free\n", text,
		       words_bytes(answer_number(status,
						 answer_path("%s.free_bytes",
							     server.text)
							 .text))
			       .text);
	}
	printf("device  %s, ",
	       words_bytes(answer_number(status, "size_bytes")).text);
	if (answer_text(status, "redundancy", text, sizeof text))
		printf("redundancy %s", text);
	else
		printf("%" PRIu64 " cop%s of each page",
		       answer_number(status, "replicas"),
		       answer_number(status, "replicas") == 1 ? "y" : "ies");
	answer_text(status, "cipher", text, sizeof text);
	printf(", cipher %s, %" PRIu64 " lanes\n", text,
	       answer_number(status, "lanes"));
}

/* A page that was never written is read without a server. */
static int write_all(struct nbd_handle *nbd, uint64_t size_bytes,
		     struct error *why)
{
	static char piece[256u << 10];

	memset(piece, 0x5a, sizeof piece);
	for (uint64_t at = 0; at < size_bytes; at += sizeof piece) {
		uint64_t left = size_bytes - at;

		if (!run_interrupted() &&
		    nbd_pwrite(nbd, piece,
			       left < sizeof piece ? left : sizeof piece, at,
			       0) == 0)
			continue;
		error_set(why, "%s",
			  run_interrupted() ? "interrupted" : nbd_get_error());
		return -1;
	}
	return 0;
}

static void print_run(size_t kind, const struct load_result *r)
{
	const struct load_times *t = &r->times;
	double per_s = (double)t->all * 1e9 / (double)r->took_ns;

	if (kind == 0)
		printf("%-6s %5s %10s %12s %8s %8s\n", "", "depth", "pages/s",
		       "bytes/s", "p50", "p99");
	printf("%-6s %5u %10.0f %12s %8s %8s\n", kinds[kind].name,
	       kinds[kind].depth, per_s,
	       words_bytes((uint64_t)(per_s * LOAD_PAGE_BYTES)).text,
	       words_latency(load_times_us(t, 500)).text,
	       words_latency(load_times_us(t, 990)).text);
}

static void add(struct json_object *to, const char *key,
		struct json_object *value)
{
	json_object_object_add(to, key, value);
}

static void add_run(struct json_object *runs, size_t kind,
		    const struct load_result *r)
{
	struct json_object *run = json_object_new_object();
	const struct load_times *t = &r->times;

	add(run, "operation", json_object_new_string(kinds[kind].name));
	add(run, "depth", json_object_new_int((int)kinds[kind].depth));
	add(run, "pages", json_object_new_uint64(t->all));
	add(run, "seconds", json_object_new_double((double)r->took_ns / 1e9));
	add(run, "pages_per_s",
	    json_object_new_double((double)t->all * 1e9 / (double)r->took_ns));
	add(run, "p50_us", json_object_new_double(load_times_us(t, 500)));
	add(run, "p99_us", json_object_new_double(load_times_us(t, 990)));
	json_object_array_add(runs, run);
}

int loadview_measure(struct nbd_handle *nbd, uint64_t size_bytes, uint64_t ns,
		     struct json_object *runs, struct error *why)
{
	int err = write_all(nbd, size_bytes, why);

	for (size_t i = 0; !err && i < sizeof kinds / sizeof kinds[0]; i++) {
		struct load load = { .op = kinds[i].op,
				     .depth = kinds[i].depth,
				     .size_bytes = size_bytes,
				     .ns = ns };
		struct load_result result;

		err = load_run(nbd, &load, &result, why);
		if (!err && runs)
			add_run(runs, i, &result);
		else if (!err)
			print_run(i, &result);
		load_times_free(&result.times);
	}
	return err;
}
