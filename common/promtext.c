#include "promtext.h"

#include <inttypes.h>
#include <string.h>

#include "clock.h"

void promtext_family(struct promtext *p, const char *name, const char *type,
		     const char *help)
{
	p->name = name;
	p->labels_bytes = 0;
	fprintf(p->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void promtext_label(struct promtext *p, const char *key, const char *value)
{
	char text[PROMTEXT_LABELS_BYTES];
	size_t n = (size_t)snprintf(text, sizeof text, "%s%s=\"",
				    p->labels_bytes ? "," : "", key);

	/* room for an escaped character and the quote */
	for (; *value && n + 3 < sizeof text; value++) {
		if (*value == '"' || *value == '\\')
			text[n++] = '\\';
		text[n++] = *value >= ' ' && *value <= '~' ? *value : '?';
	}
	text[n++] = '"';
	if (*value || p->labels_bytes + n > sizeof p->labels)
		return;
	memcpy(p->labels + p->labels_bytes, text, n);
	p->labels_bytes += n;
}

/* What stands before the value: the name and the labels, and the label "le" of
 * a histogram's bucket if there is one. */
static void put_series(struct promtext *p, const char *suffix, const char *le)
{
	fprintf(p->out, "%s%s", p->name, suffix);
	if (p->labels_bytes || le) {
		fputc('{', p->out);
		fwrite(p->labels, 1, p->labels_bytes, p->out);
		if (le)
			fprintf(p->out, "%sle=\"%s\"",
				p->labels_bytes ? "," : "", le);
		fputc('}', p->out);
	}
	fputc(' ', p->out);
}

static void put_integer(struct promtext *p, uint64_t value)
{
	fprintf(p->out, "%" PRIu64 "\n", value);
}

static void put_seconds(struct promtext *p, uint64_t ns)
{
	fprintf(p->out, "%llu.%09llu\n", ns / NS_PER_S, ns % NS_PER_S);
}

void promtext_integer(struct promtext *p, uint64_t value)
{
	put_series(p, "", NULL);
	put_integer(p, value);
	p->labels_bytes = 0;
}

void promtext_seconds(struct promtext *p, uint64_t ns)
{
	put_series(p, "", NULL);
	put_seconds(p, ns);
	p->labels_bytes = 0;
}

void promtext_bucket(struct promtext *p, uint64_t end_ns, uint64_t count)
{
	char le[32] = "+Inf";

	if (end_ns != UINT64_MAX)
		snprintf(le, sizeof le, "%.12g", (double)end_ns / 1e9);
	put_series(p, "_bucket", le);
	put_integer(p, count);
}

void promtext_histogram_end(struct promtext *p, uint64_t sum_ns, uint64_t count)
{
	put_series(p, "_sum", NULL);
	put_seconds(p, sum_ns);
	put_series(p, "_count", NULL);
	put_integer(p, count);
	p->labels_bytes = 0;
}

void promtext_counter(struct promtext *p, const char *name, const char *help,
		      uint64_t value)
{
	promtext_family(p, name, "counter", help);
	promtext_integer(p, value);
}

void promtext_gauge(struct promtext *p, const char *name, const char *help,
		    uint64_t value)
{
	promtext_family(p, name, "gauge", help);
	promtext_integer(p, value);
}

void promtext_program(struct promtext *p, const char *role,
		      uint64_t start_time_ns)
{
	promtext_family(p, "rswap_build_info", "gauge",
			"Always 1; which program in which version this is.");
	promtext_label(p, "role", role);
	promtext_label(p, "version", RSWAP_VERSION);
	promtext_integer(p, 1);
	promtext_family(p, "rswap_start_time_seconds", "gauge",
			"When it began to serve, in Unix time.");
	promtext_seconds(p, start_time_ns);
}
