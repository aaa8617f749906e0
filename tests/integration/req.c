/* Carries out single NBD requests, aligned or not, and tells what came of each
 * in one line:
 *
 *   req URI REQUEST...
 *
 *   read:OFFSET:COUNT              what the pages are: "zeros", "stamp 3"
 *   scan:OFFSET:COUNT              the same, one request for each page
 *   check:OFFSET:COUNT:STAMP       "ok" or "different"; any alignment
 *   write:OFFSET:COUNT:STAMP[:fua]
 *   trim:OFFSET:COUNT[:fua]
 *   zero:OFFSET:COUNT[:fua][:fast][:nohole]
 *   flush
 *   extents:OFFSET:COUNT           "0+4096 data, 4096+8192 hole"
 *   -                              what standard input has, a request a line
 *
 * Sizes take K and M.  "ok", or the name of the error: exit status 0 either
 * way, and 1 where the connection fails.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libnbd.h>

#include "content.h"

#define ARGS_MAX  8
#define KINDS_MAX 64

struct request {
	char *arg[ARGS_MAX]; /* [0] is the name */
	int n;
	uint64_t offset, count, stamp;
	uint32_t flags;
};

static void die(const char *what)
{
	fprintf(stderr, "req: %s: %s\n", what, nbd_get_error());
	exit(1);
}

static void print_error(void)
{
	const char *name = strerrorname_np(nbd_get_errno());

	printf("%s\n", name ? name : "unknown error");
}

static void print_result(int rc)
{
	if (rc < 0)
		print_error();
	else
		printf("ok\n");
}

/* --- what pages are --- */

struct tally {
	char text[100];
	uint64_t pages;
};

static struct tally tallies[KINDS_MAX];
static int n_tallies;

static void tally(const char *text)
{
	int i = 0;

	while (i < n_tallies && strcmp(tallies[i].text, text))
		i++;
	if (i == KINDS_MAX)
		return;
	if (i == n_tallies) {
		n_tallies++;
		snprintf(tallies[i].text, sizeof tallies[i].text, "%s", text);
	}
	tallies[i].pages++;
}

static void tally_page(const char *buf, uint64_t page)
{
	char text[100];
	uint64_t stamp;

	memcpy(&stamp, buf, sizeof stamp);
	if (stamp && content_is(buf, page, stamp))
		snprintf(text, sizeof text, "stamp %" PRIu64, stamp);
	else
		content_describe(buf, text, sizeof text);
	tally(text);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct tally *)a)->text,
		      ((const struct tally *)b)->text);
}

static void print_tallies(bool counts)
{
	qsort(tallies, (size_t)n_tallies, sizeof tallies[0], compare);
	for (int i = 0; i < n_tallies; i++) {
		printf("%s%s", i ? ", " : "", tallies[i].text);
		if (counts || n_tallies > 1)
			printf(" x%" PRIu64, tallies[i].pages);
	}
	printf("\n");
	memset(tallies, 0, sizeof tallies);
	n_tallies = 0;
}

/* --- requests --- */

static char *new_buffer(uint64_t bytes)
{
	char *buf = malloc(bytes + 2 * PAGE);

	if (!buf)
		abort();
	/* so that what a read leaves alone is seen */
	memset(buf, 0xa5, bytes + 2 * PAGE);
	return buf;
}

static void do_read(struct nbd_handle *nbd, const struct request *r)
{
	char *buf = new_buffer(r->count);

	if (nbd_pread(nbd, buf, r->count, r->offset, 0) < 0) {
		print_error();
	} else if (r->offset % PAGE || r->count % PAGE) {
		printf("ok\n");
	} else {
		for (uint64_t at = 0; at < r->count; at += PAGE)
			tally_page(buf + at, (r->offset + at) / PAGE);
		print_tallies(false);
	}
	free(buf);
}

static void do_scan(struct nbd_handle *nbd, const struct request *r)
{
	char *buf = new_buffer(PAGE);

	for (uint64_t at = 0; at < r->count; at += PAGE) {
		if (nbd_pread(nbd, buf, PAGE, r->offset + at, 0) < 0)
			tally(strerrorname_np(nbd_get_errno()));
		else
			tally_page(buf, (r->offset + at) / PAGE);
	}
	print_tallies(true);
	free(buf);
}

/* The bytes of a range of any alignment, as if whole pages had been written
 * with that stamp.  They begin at the returned pointer, in BUF. */
static const char *contents(char *buf, const struct request *r)
{
	uint64_t first = r->offset / PAGE;
	uint64_t last = (r->offset + r->count - 1) / PAGE;

	for (uint64_t page = first; page <= last; page++)
		content_fill(buf + (page - first) * PAGE, page, r->stamp);
	return buf + r->offset % PAGE;
}

static void do_write(struct nbd_handle *nbd, const struct request *r)
{
	char *buf = new_buffer(r->count);

	print_result(nbd_pwrite(nbd, contents(buf, r), r->count, r->offset,
				r->flags));
	free(buf);
}

static void do_check(struct nbd_handle *nbd, const struct request *r)
{
	char *buf = new_buffer(r->count), *expected = new_buffer(r->count);

	if (nbd_pread(nbd, buf, r->count, r->offset, 0) < 0)
		print_error();
	else
		printf("%s\n", memcmp(buf, contents(expected, r), r->count)
				       ? "different"
				       : "ok");
	free(expected);
	free(buf);
}

static int on_extents(void *arg, const char *context, uint64_t offset,
		      uint32_t *entries, size_t n, int *error)
{
	const char *between = "";

	(void)arg;
	(void)error;
	if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION))
		return 0;
	for (size_t i = 0; i + 1 < n; i += 2) {
		static const char *const types[] = { "data", "hole,data",
						     "zero", "hole" };

		printf("%s%" PRIu64 "+%" PRIu32 " %s", between, offset,
		       entries[i], types[entries[i + 1] & 3]);
		offset += entries[i];
		between = ", ";
	}
	printf("\n");
	return 0;
}

static void do_extents(struct nbd_handle *nbd, const struct request *r)
{
	nbd_extent_callback callback = { .callback = on_extents };

	if (nbd_block_status(nbd, r->count, r->offset, callback, 0) < 0)
		print_error();
}

/* --- words --- */

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (*end == 'K')
		n <<= 10;
	else if (*end == 'M')
		n <<= 20;
	return n;
}

static uint32_t flag(const char *text)
{
	if (!strcmp(text, "fua"))
		return LIBNBD_CMD_FLAG_FUA;
	if (!strcmp(text, "fast"))
		return LIBNBD_CMD_FLAG_FAST_ZERO;
	if (!strcmp(text, "nohole"))
		return LIBNBD_CMD_FLAG_NO_HOLE;
	fprintf(stderr, "req: %s: no such flag\n", text);
	exit(1);
}

static struct request parse(char *word)
{
	struct request r = { 0 };
	bool stamped;

	for (char *p; r.n < ARGS_MAX && (p = strsep(&word, ":"));)
		r.arg[r.n++] = p;
	stamped = !strcmp(r.arg[0], "write") || !strcmp(r.arg[0], "check");
	if (r.n > 1)
		r.offset = number(r.arg[1]);
	if (r.n > 2)
		r.count = number(r.arg[2]);
	if (stamped && r.n > 3)
		r.stamp = number(r.arg[3]);
	for (int i = stamped ? 4 : 3; i < r.n; i++)
		r.flags |= flag(r.arg[i]);
	return r;
}

static void carry_out(struct nbd_handle *nbd, const struct request *r)
{
	const char *name = r->arg[0];

	if (!strcmp(name, "read"))
		do_read(nbd, r);
	else if (!strcmp(name, "scan"))
		do_scan(nbd, r);
	else if (!strcmp(name, "check"))
		do_check(nbd, r);
	else if (!strcmp(name, "write"))
		do_write(nbd, r);
	else if (!strcmp(name, "trim"))
		print_result(nbd_trim(nbd, r->count, r->offset, r->flags));
	else if (!strcmp(name, "zero"))
		print_result(nbd_zero(nbd, r->count, r->offset, r->flags));
	else if (!strcmp(name, "flush"))
		print_result(nbd_flush(nbd, 0));
	else if (!strcmp(name, "extents"))
		do_extents(nbd, r);
	else
		fprintf(stderr, "req: %s: no such request\n", name);
	fflush(stdout);
}

static void carry_out_word(struct nbd_handle *nbd, char *word)
{
	struct request r = parse(word);

	carry_out(nbd, &r);
	if (!nbd_aio_is_ready(nbd))
		die("the connection");
}

static void carry_out_lines(struct nbd_handle *nbd)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		carry_out_word(nbd, line);
	}
	free(line);
}

int main(int argc, char **argv)
{
	struct nbd_handle *nbd = nbd_create();

	if (argc < 3 || !nbd)
		return 1;
	/* what the server says to odd requests, not what libnbd does */
	if (nbd_set_strict_mode(nbd, 0) < 0 ||
	    nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
	    nbd_connect_uri(nbd, argv[1]) < 0)
		die(argv[1]);
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "-"))
			carry_out_lines(nbd);
		else
			carry_out_word(nbd, argv[i]);
	}
	nbd_shutdown(nbd, 0);
	nbd_close(nbd);
	return 0;
}
