/* What the fuzz targets share.  A target is one file with
 * LLVMFuzzerTestOneInput (and fuzz_begin, if it has something to do once).
 * libFuzzer calls it with inputs of its own; replay.c calls it with files.  A
 * target ends the process (abort, or a sanitizer) where the code under test is
 * wrong, and returns 0 whatever else the input is. */
#ifndef RSWAP_FUZZ_H
#define RSWAP_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Also in a build without assertions. */
#define REQUIRE(condition)                                                     \
	((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))

__attribute__((noreturn)) void fuzz_fail(const char *file, int line,
					 const char *condition);

__attribute__((visibility("default"))) int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((visibility("default"))) int LLVMFuzzerInitialize(int *argc,
								char ***argv);

/* The target's; before the first input. */
void fuzz_begin(void);

/* An input that is taken apart from its front. */
struct input {
	const uint8_t *data;
	size_t left;
};

/* The next byte; 0 at the end. */
uint8_t input_byte(struct input *in);
/* At most BYTES of the next ones; how many. */
size_t input_take(struct input *in, size_t bytes, const uint8_t **at);
/* Fills all of BUF; with zeros from the end on. */
void input_fill(struct input *in, void *buf, size_t bytes);

/* A copy that ends with a NUL; the caller frees it. */
char *input_text(const uint8_t *data, size_t size);

/* The next line of *AT, without its newline, ended with a NUL in place; NULL
 * behind the last one. */
char *text_line(char **at);

/* A stream to read SIZE bytes from, in the place of a file. */
FILE *fuzz_open(const void *data, size_t size);

/* A connected pair of Unix stream sockets, close-on-exec: END[0] is for the
 * code under test. */
void fuzz_socketpair(int end[2]);
/* Puts all BYTES into a socket that has room for them. */
void fuzz_put(int fd, const void *buf, size_t bytes);

#endif
