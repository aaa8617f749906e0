#include "torture.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model.h"

static _Noreturn void wrong(const char *name, const char *value,
			    const char *allowed)
{
	fprintf(stderr, "torture: --%s=%s is not allowed: it must be %s\n",
		name, value, allowed);
	exit(2);
}

static uint64_t number(const char *name, const char *text, uint64_t min,
		       uint64_t max)
{
	char *end, allowed[100];
	uint64_t n = strtoull(text, &end, 0), unit = 1;

	if (*end == 'K' || *end == 'M')
		unit = *end++ == 'K' ? 1u << 10 : 1u << 20;
	if (*end || end == text || *text == '-' || n < min || n > max / unit) {
		snprintf(allowed, sizeof allowed,
			 "a number from %llu to %llu, K or M behind it",
			 (unsigned long long)min, (unsigned long long)max);
		wrong(name, text, allowed);
	}
	return n * unit;
}

/* The FIRST or the SECOND word. */
static bool is_first(const char *name, const char *text, const char *first,
		     const char *second)
{
	char allowed[100];

	if (!strcmp(text, first))
		return true;
	if (strcmp(text, second)) {
		snprintf(allowed, sizeof allowed, "%s or %s", first, second);
		wrong(name, text, allowed);
	}
	return false;
}

static const struct option names[] = {
	{ "socket", required_argument, NULL, 'u' },
	{ "uri", required_argument, NULL, 'U' },
	{ "device", required_argument, NULL, 'b' },
	{ "until", required_argument, NULL, 'f' },
	{ "size", required_argument, NULL, 'z' },
	{ "seed", required_argument, NULL, 's' },
	{ "seconds", required_argument, NULL, 't' },
	{ "threads", required_argument, NULL, 'n' },
	{ "max-pages", required_argument, NULL, 'm' },
	{ "max-read-wait", required_argument, NULL, 'w' },
	{ "interval", required_argument, NULL, 'i' },
	{ "overlap", required_argument, NULL, 'o' },
	{ "trims", required_argument, NULL, 'd' },
	{ "expect", required_argument, NULL, 'e' },
	{ "report", no_argument, NULL, 'r' },
	{ 0 },
};

static void set(struct options *o, int key, const char *name)
{
	switch (key) {
	case 'u':
		o->socket = optarg;
		break;
	case 'U':
		o->uri = optarg;
		break;
	case 'b':
		o->device = optarg;
		break;
	case 'f':
		o->until = optarg;
		break;
	case 'z':
		o->size = number(name, optarg, 4096, UINT64_MAX);
		break;
	case 's':
		o->seed = number(name, optarg, 0, UINT64_MAX);
		break;
	case 't':
		o->seconds = number(name, optarg, 0, 1000000);
		break;
	case 'n':
		o->threads = (unsigned)number(name, optarg, 1, MODEL_SLOTS_MAX);
		break;
	case 'm':
		o->max_pages = number(name, optarg, 1, 8192);
		break;
	case 'w':
		o->max_read_wait = number(name, optarg, 1, 100000);
		break;
	case 'i':
		o->interval = number(name, optarg, 1, 1000);
		break;
	case 'o':
		o->overlap = is_first(name, optarg, "yes", "no");
		break;
	case 'd':
		o->trims = is_first(name, optarg, "yes", "no");
		break;
	case 'e':
		o->eio_allowed =
			is_first(name, optarg, "eio-allowed", "never-eio");
		break;
	case 'r':
		o->report = true;
		break;
	default:
		exit(2);
	}
}

void options_parse(struct options *o, int argc, char **argv)
{
	int key, index = 0;

	*o = (struct options){ .seed = (uint64_t)time(NULL) * 1000 +
				       (uint64_t)getpid() % 1000,
			       .seconds = 5,
			       .threads = 8,
			       .max_pages = 64,
			       .max_read_wait = 300,
			       .overlap = true,
			       .trims = true };
	while ((key = getopt_long(argc, argv, "", names, &index)) != -1)
		set(o, key, names[index].name);
	if (optind == argc && !!o->socket + !!o->uri + !!o->device == 1)
		return;
	fprintf(stderr, "torture: one of --socket=PATH, --uri=URI and "
			"--device=PATH is wanted (options: the head of "
			"torture.c)\n");
	exit(2);
}
