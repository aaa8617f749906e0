// SPDX-License-Identifier: BSD-3-Clause
/*
 * shrink: programs whose working set shrinks to a part of what it was, so that
 * a swap device shows how much memory it takes for what is left.
 *
 *   shrink --size=SIZE[K|M|G] --keep=PERCENT --pattern=PATTERN
 *
 * fills SIZE of memory, gives back all but KEEP percent of it, says so in one
 * line, and keeps the rest until standard input ends; then it reads that, and
 * fails where a page is not what it was.  PATTERN says what is given back:
 *
 *   tail       one piece at the end, as a large object that is dropped
 *   programs   ten programs filled at the same time; most of them end
 *   chunk:SIZE pieces of SIZE at random places, as a heap gives them back
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define PROGRAMS   10u

struct options {
	uint64_t size_bytes;
	uint64_t keep_percent;
	uint64_t chunk_bytes; /* 0: one piece at the end */
	bool programs;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "shrink: %s\n", what);
	exit(2);
}

static uint64_t bytes_of(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	switch (*end) {
	case 'G':
		n *= 1024;
		__attribute__((fallthrough));
	case 'M':
		n *= 1024;
		__attribute__((fallthrough));
	case 'K':
		n *= 1024;
	}
	if (n == 0 || n % PAGE_BYTES)
		die("a size is a multiple of 4096, with K, M or G behind it");
	return n;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* What word WORD of page PAGE is; never 0. */
static uint64_t content(uint64_t seed, uint64_t page, uint64_t word)
{
	return mix(seed * UINT64_C(0x9e3779b97f4a7c15) + (page << 9) + word) |
	       1;
}

static uint64_t *fill(uint64_t bytes, uint64_t seed)
{
	uint64_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("out of memory");
	/* a huge page would be given back as a whole, or not at all */
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; i < bytes / 8; i++)
		memory[i] = content(seed, i / 512, i % 512);
	return memory;
}

/* Whether the piece that begins at AT is kept. */
static bool is_kept(const struct options *o, uint64_t at)
{
	if (!o->chunk_bytes)
		return at < o->size_bytes / 100 * o->keep_percent;
	return mix(at / o->chunk_bytes + 12345) % 100 < o->keep_percent;
}

static void check(const struct options *o, const uint64_t *memory,
		  uint64_t bytes, uint64_t seed, bool all)
{
	for (uint64_t at = 0; at < bytes; at += PAGE_BYTES) {
		uint64_t page = at / PAGE_BYTES;

		if (!all && !is_kept(o, at))
			continue;
		for (uint64_t word = 0; word < 512; word++) {
			if (memory[page * 512 + word] !=
			    content(seed, page, word)) {
				fprintf(stderr,
					"shrink: page %" PRIu64 " is wrong\n",
					page);
				exit(1);
			}
		}
	}
}

static void say_shrunk(void)
{
	puts("shrunk");
	fflush(stdout);
}

static void await_end_of_input(void)
{
	while (getchar() != EOF)
		;
}

static int one_program(const struct options *o)
{
	uint64_t step = o->chunk_bytes ? o->chunk_bytes : PAGE_BYTES;
	uint64_t *memory = fill(o->size_bytes, 1);

	for (uint64_t at = 0; at < o->size_bytes; at += step) {
		uint64_t left = o->size_bytes - at;

		if (!is_kept(o, at))
			madvise((char *)memory + at, left < step ? left : step,
				MADV_DONTNEED);
	}
	say_shrunk();
	await_end_of_input();
	check(o, memory, o->size_bytes, 1, false);
	return 0;
}

/* One of the programs: says by a byte that it is full, and ends, or keeps all,
 * when GO is closed. */
static int child(const struct options *o, uint64_t number, int full, int go,
		 bool keeps)
{
	uint64_t bytes = o->size_bytes / PROGRAMS / PAGE_BYTES * PAGE_BYTES;
	uint64_t *memory = fill(bytes, number);
	char byte = 0;

	if (write(full, &byte, 1) != 1)
		return 2;
	while (read(go, &byte, 1) > 0)
		;
	if (!keeps)
		return 0;
	await_end_of_input();
	check(o, memory, bytes, number, true);
	return 0;
}

static int many_programs(const struct options *o)
{
	uint64_t keep = (PROGRAMS * o->keep_percent + 99) / 100;
	int full[2], go[2], status, result = 0;
	pid_t pids[PROGRAMS];
	char byte;

	if (pipe(full) || pipe(go))
		die("no pipe");
	for (uint64_t i = 0; i < PROGRAMS; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("no process");
		if (pids[i] == 0) {
			close(go[1]);
			_exit(child(o, i + 1, full[1], go[0], i < keep));
		}
	}
	for (uint64_t i = 0; i < PROGRAMS; i++) {
		if (read(full[0], &byte, 1) != 1)
			die("a program has ended");
	}
	close(go[1]);
	for (uint64_t i = keep; i < PROGRAMS; i++)
		waitpid(pids[i], &status, 0);
	say_shrunk();
	for (uint64_t i = 0; i < keep; i++) {
		waitpid(pids[i], &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			result = 1;
	}
	return result;
}

static void set_pattern(struct options *o, const char *pattern)
{
	if (!strcmp(pattern, "programs"))
		o->programs = true;
	else if (!strncmp(pattern, "chunk:", 6))
		o->chunk_bytes = bytes_of(pattern + 6);
	else if (strcmp(pattern, "tail"))
		die("--pattern is tail, programs or chunk:SIZE");
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "size", required_argument, NULL, 's' },
		{ "keep", required_argument, NULL, 'k' },
		{ "pattern", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { .keep_percent = 10 };
	int got;

	while ((got = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (got) {
		case 's':
			o.size_bytes = bytes_of(optarg);
			break;
		case 'k':
			o.keep_percent = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			set_pattern(&o, optarg);
			break;
		default:
			die("options are --size, --keep and --pattern");
		}
	}
	if (!o.size_bytes || o.keep_percent > 100)
		die("--size=SIZE is needed, and --keep is at most 100");
	return o.programs ? many_programs(&o) : one_program(&o);
}
