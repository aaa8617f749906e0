#include "answer.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "ctlsock.h"

/* Who answers is on this machine: one that takes longer is stuck. */
#define ANSWER_NS (5 * NS_PER_S)

/* The answers have a few levels. */
#define DEPTH_MAX 16

/* The largest answer is that of a server with 4096 sessions. */
#define ANSWER_BYTES (4u << 20)

struct json_object *answer_parse(const char *text, struct error *why)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *answer = NULL;
	const char *error = "out of memory";

	if (tokener) {
		answer = json_tokener_parse_ex(tokener, text, -1);
		error = json_tokener_error_desc(
			json_tokener_get_error(tokener));
		json_tokener_free(tokener);
	}
	if (json_object_is_type(answer, json_type_object))
		return answer;
	error_set(why, "no JSON object: %s", answer ? "another value" : error);
	json_object_put(answer);
	return NULL;
}

struct json_object *answer_ask(const char *socket, const char *command,
			       struct error *why)
{
	static char text[ANSWER_BYTES];
	struct json_object *answer, *error;
	const char *said;
	struct error inner;

	if (ctlsock_ask(socket, command, text, sizeof text,
			clock_now_ns() + ANSWER_NS, why) < 0)
		return NULL;
	answer = answer_parse(text, &inner);
	if (!answer) {
		error_set(why, "%.120s: %.120s", socket, inner.text);
		return NULL;
	}
	error = answer_at(answer, "error");
	if (!error)
		return answer;
	said = json_object_get_string(error);
	if (*said)
		error_set(why, "%.200s", said);
	else
		error_set(why, "%.120s: an error that says nothing", socket);
	answer_put(answer);
	return NULL;
}

void answer_put(struct json_object *answer)
{
	json_object_put(answer);
}

void answer_print(struct json_object *document)
{
	puts(json_object_to_json_string_ext(
		document, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
				  JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* NAME is a member's, or an element's number. */
static struct json_object *child(struct json_object *parent, const char *name)
{
	struct json_object *found = NULL;

	if (json_object_is_type(parent, json_type_array))
		return json_object_array_get_idx(parent,
						 strtoul(name, NULL, 10));
	if (json_object_is_type(parent, json_type_object))
		json_object_object_get_ex(parent, name, &found);
	return found;
}

struct json_object *answer_at(struct json_object *answer, const char *path)
{
	char name[64];

	while (answer && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof name)
			return NULL;
		memcpy(name, path, n);
		name[n] = '\0';
		answer = child(answer, name);
		path += n + (path[n] == '.');
	}
	return answer;
}

bool answer_text(struct json_object *answer, const char *path, char *value,
		 size_t size)
{
	struct json_object *found = answer_at(answer, path);

	if (!found)
		return false;
	if (json_object_is_type(found, json_type_boolean))
		snprintf(value, size, "%s",
			 json_object_get_boolean(found) ? "yes" : "no");
	else
		snprintf(value, size, "%s", json_object_get_string(found));
	return true;
}

uint64_t answer_number(struct json_object *answer, const char *path)
{
	struct json_object *found = answer_at(answer, path);

	return json_object_is_type(found, json_type_int)
		       ? json_object_get_uint64(found)
		       : 0;
}

double answer_real(struct json_object *answer, const char *path)
{
	struct json_object *found = answer_at(answer, path);

	return json_object_is_type(found, json_type_double) ||
			       json_object_is_type(found, json_type_int)
		       ? json_object_get_double(found)
		       : 0;
}

bool answer_is(struct json_object *answer, const char *path, const char *text)
{
	char value[64];

	return answer_text(answer, path, value, sizeof value) &&
	       !strcmp(value, text);
}

size_t answer_count(struct json_object *answer, const char *path)
{
	struct json_object *found = answer_at(answer, path);

	return json_object_is_type(found, json_type_array)
		       ? json_object_array_length(found)
		       : 0;
}

struct answer_path answer_path(const char *format, ...)
{
	struct answer_path path;
	va_list args;

	va_start(args, format);
	vsnprintf(path.text, sizeof path.text, format, args);
	va_end(args);
	return path;
}
