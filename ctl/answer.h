/* Answers of control sockets (common/ctlsock.h): JSON, parsed.
 *
 * A PATH names a value of an answer: "servers.0.state" is the member "state" of
 * the first element of the array "servers".  What an answer lacks is no error:
 * a plugin and a memory server have different members, and so have older
 * versions. */
#ifndef RSWAPCTL_ANSWER_H
#define RSWAPCTL_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct json_object;

/* Asks the socket at SOCKET, and takes five seconds at most.  NULL, with one
 * line in WHY, if there is no answer, or if the answer is an error.  The caller
 * puts the answer back with answer_put. */
struct json_object *answer_ask(const char *socket, const char *command,
			       struct error *why);
/* The same from TEXT. */
struct json_object *answer_parse(const char *text, struct error *why);
/* NULL is allowed. */
void answer_put(struct json_object *answer);

/* Prints a document to standard output, in many lines. */
void answer_print(struct json_object *document);

/* The value at PATH, or NULL. */
struct json_object *answer_at(struct json_object *answer, const char *path);
/* Its text: a number in digits, "yes" or "no".  False where there is none, or
 * null.  VALUE is cut at SIZE. */
bool answer_text(struct json_object *answer, const char *path, char *value,
		 size_t size);
/* 0 where there is no number. */
uint64_t answer_number(struct json_object *answer, const char *path);
double answer_real(struct json_object *answer, const char *path);
/* Whether the value is there and is TEXT. */
bool answer_is(struct json_object *answer, const char *path, const char *text);
/* How many elements an array has. */
size_t answer_count(struct json_object *answer, const char *path);

/* "servers.3.state" */
struct answer_path {
	char text[96];
};
__attribute__((format(printf, 1, 2))) struct answer_path
answer_path(const char *format, ...);

#endif
