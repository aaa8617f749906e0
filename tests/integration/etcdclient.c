/* The etcd client (pool/etcd) by hand: one call, or a view of a prefix until it
 * is killed.  Says what came of it in a line, and ends with status 1 if that is
 * an error.
 *
 *   etcdclient [--ca=FILE] [--cert=FILE] [--key=FILE] [--login=FILE]
 *              HOST:PORT[,HOST:PORT]... COMMAND ARGUMENT...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "etcd/view.h"
#include "etcd/watch.h"

#define CALL_NS (10 * NS_PER_S)

static struct etcd_config config;
static struct etcd *etcd;
static char **word; /* the arguments of the command */

static uint64_t soon_ns(void)
{
	return clock_now_ns() + CALL_NS;
}

static uint64_t number(unsigned i)
{
	return strtoull(word[i], NULL, 10);
}

/* --- commands --- */

static int do_grant(struct error *why)
{
	uint64_t lease;
	int rc = etcd_grant(etcd, number(0), soon_ns(), &lease, why);

	if (!rc)
		printf("%llu\n", (unsigned long long)lease);
	return rc;
}

static int do_keep(struct error *why)
{
	return etcd_keep_alive(etcd, number(0), soon_ns(), why);
}

static int do_revoke(struct error *why)
{
	return etcd_revoke(etcd, number(0), soon_ns(), why);
}

static int do_put(struct error *why)
{
	return etcd_put(etcd, word[0], word[1], number(2), soon_ns(), why);
}

/* A put for each line of the standard input, by one client. */
static int do_puts(struct error *why)
{
	char line[64];

	while (fgets(line, sizeof line, stdin)) {
		int rc;

		line[strcspn(line, "\n")] = '\0';
		rc = etcd_put(etcd, word[0], line, 0, soon_ns(), why);
		printf("%s %s\n", rc ? why->text : "put", line);
	}
	return 0;
}

static int do_put_if(struct error *why)
{
	struct etcd_answer there;
	int rc = etcd_put_if(etcd, word[0], number(1), word[2], word[3],
			     number(4), soon_ns(), &there, why);

	if (!rc && there.succeeded)
		puts("put");
	else if (!rc)
		printf("there: %s %llu\n", there.n ? there.kvs[0].value : "-",
		       there.n ? (unsigned long long)there.kvs[0].lease : 0);
	etcd_answer_free(&there);
	return rc;
}

/* PREFIX REVISION LEASE KEY VALUE GONE: puts KEY and deletes GONE. */
static int do_transact(struct error *why)
{
	const struct etcd_guard guard = { word[0], number(1) };
	const struct etcd_change changes[] = { { word[3], word[4] },
					       { word[5], NULL } };
	const struct etcd_txn txn = { .guards = &guard,
				      .changes = changes,
				      .n_guards = 1,
				      .n_changes = 2,
				      .lease = number(2) };
	bool done;
	int rc = etcd_transact(etcd, &txn, soon_ns(), &done, why);

	if (!rc)
		puts(done ? "done" : "refused");
	return rc;
}

static void show(void *arg, const struct etcd_kv *kvs, unsigned n)
{
	(void)arg;
	for (unsigned i = 0; i < n; i++)
		printf("%s %s\n", kvs[i].key, kvs[i].value);
}

static int do_range(struct error *why)
{
	uint64_t revision;

	return etcd_range(etcd, word[0], soon_ns(), show, NULL, &revision, why);
}

static void begin(void *arg)
{
	(void)arg;
	puts("begin");
}

static void end(void *arg)
{
	(void)arg;
	puts("end");
}

static void changed(void *arg, const struct etcd_kv *kv)
{
	(void)arg;
	printf("%s %s %s\n", kv->deleted ? "gone" : "is", kv->key, kv->value);
}

static const struct etcd_view_ops ops = { begin, end, changed };

/* Until nobody reads any more. */
static bool puts_work(void)
{
	return !ferror(stdout);
}

/* With a LEASE the client also makes calls.  Returns when a step has to end. */
static uint64_t keep(uint64_t lease)
{
	struct error why;

	if (!lease)
		return soon_ns();
	if (etcd_keep_alive(etcd, lease, soon_ns(), &why))
		printf("error %s\n", why.text);
	return clock_now_ns() + NS_PER_S;
}

static int view(uint64_t quiet_ns, uint64_t lease, struct error *why)
{
	struct etcd_view v = { .etcd = etcd,
			       .prefix = word[0],
			       .ops = &ops,
			       .quiet_ns = quiet_ns };
	bool current = false;

	while (puts_work()) {
		if (etcd_view_step(&v, keep(lease), why))
			printf("error %s\n", why->text);
		if (etcd_view_is_current(&v) != current) {
			current = !current;
			printf("%s at %s\n", current ? "current" : "old",
			       etcd_endpoint(etcd).text);
		}
	}
	return 0;
}

static int do_view(struct error *why)
{
	return view(0, 0, why);
}

/* PREFIX SECONDS: that etcd may be silent. */
static int do_view_loud(struct error *why)
{
	return view(number(1) * NS_PER_S, 0, why);
}

/* PREFIX SECONDS LEASE: 0 seconds: for ever. */
static int do_view_keep(struct error *why)
{
	return view(number(1) * NS_PER_S, number(2), why);
}

/* PREFIX KEY: rests while a watch of PREFIX has something to tell. */
static int do_rest(struct error *why)
{
	uint64_t until_ns;
	int rc = etcd_watch(etcd, 0, word[0], 0, soon_ns(), why);

	if (!rc)
		rc = etcd_put(etcd, word[1], "x", 0, soon_ns(), why);
	if (rc)
		return rc;
	etcd_pause(etcd, soon_ns());
	until_ns = clock_now_ns() + 500 * NS_PER_MS;
	etcd_wake(etcd);
	etcd_rest(etcd, until_ns);
	puts(clock_left_ns(until_ns) ? "woken" : "rested");
	return 0;
}

static const struct command {
	const char *name;
	int words;
	int (*run)(struct error *why);
} commands[] = { { "grant", 1, do_grant },    { "keep", 1, do_keep },
		 { "revoke", 1, do_revoke },  { "put", 3, do_put },
		 { "put-if", 5, do_put_if },  { "puts", 1, do_puts },
		 { "range", 1, do_range },    { "view", 1, do_view },
		 { "view", 2, do_view_loud }, { "transact", 6, do_transact },
		 { "view", 3, do_view_keep }, { "rest", 2, do_rest } };

/* --- the command line --- */

static bool take_option(const char *text)
{
	static const struct {
		const char *name;
		const char **path;
	} options[] = { { "--ca=", &config.ca },
			{ "--cert=", &config.cert },
			{ "--key=", &config.key },
			{ "--login=", &config.login } };

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		size_t n = strlen(options[i].name);

		if (strncmp(text, options[i].name, n))
			continue;
		*options[i].path = text + n;
		return true;
	}
	return false;
}

static void take_endpoints(char *text)
{
	struct error why;

	for (char *at = strtok(text, ","); at; at = strtok(NULL, ","))
		net_name_parse(at, ETCD_DEFAULT_PORT,
			       &config.endpoints[config.n_endpoints++], &why);
}

static int run(int argc, char **argv, struct error *why)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		if (strcmp(argv[0], commands[i].name) ||
		    argc != 1 + commands[i].words)
			continue;
		word = argv + 1;
		return commands[i].run(why);
	}
	error_set(why, "no such command");
	return -1;
}

int main(int argc, char **argv)
{
	struct error why = { "" };
	int i = 1, rc;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (i < argc && take_option(argv[i]))
		i++;
	if (argc - i < 2)
		return 2;
	take_endpoints(argv[i]);
	rc = etcd_open(&etcd, &config, &why);
	if (!rc)
		rc = run(argc - i - 1, argv + i + 1, &why);
	if (rc)
		printf("error %s: %s\n", strerror(-rc), why.text);
	etcd_close(etcd);
	return rc != 0;
}
