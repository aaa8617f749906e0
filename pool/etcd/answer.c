#include "answer.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "b64.h"
#include "size.h"

/* Objects in objects: etcd has less than ten. */
#define DEPTH_MAX 16

/* Where no number says which error it is: an HTTP proxy in front, for one. */
#define CODE_UNKNOWN 2

/* --- members --- */

/* The member NAME of OBJECT if it is of TYPE, or NULL. */
static struct json_object *member(struct json_object *object, const char *name,
				  enum json_type type)
{
	struct json_object *found;

	if (!object || !json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, name, &found) ||
	    !json_object_is_type(found, type))
		return NULL;
	return found;
}

/* A number, which etcd writes as text if it may need 64 bits.  0 for what is
 * none. */
static uint64_t number(struct json_object *object, const char *name)
{
	struct json_object *text = member(object, name, json_type_string);
	struct json_object *digits = member(object, name, json_type_int);
	uint64_t n = 0;

	if (text)
		number_parse(json_object_get_string(text), 0, UINT64_MAX, &n);
	else if (digits && json_object_get_int64(digits) > 0)
		n = (uint64_t)json_object_get_int64(digits);
	return n;
}

static bool truth(struct json_object *object, const char *name)
{
	return json_object_get_boolean(member(object, name, json_type_boolean));
}

/* Base64 of *N bytes; "" if there is no such member.  NULL if it is something
 * else. */
static char *bytes_of(struct json_object *object, const char *name, size_t *n)
{
	struct json_object *found = member(object, name, json_type_string);

	*n = 0;
	if (!found)
		return calloc(1, 1);
	return b64_decode(json_object_get_string(found),
			  (size_t)json_object_get_string_len(found), n);
}

/* --- parts of an answer --- */

static void take_message(const char *text, struct etcd_answer *answer)
{
	size_t i = 0;

	for (; text[i] && i < sizeof answer->message - 1; i++)
		answer->message[i] =
			text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	answer->message[i] = '\0';
}

/* Whether the answer is an error: {"error": TEXT, "code": N}, also without
 * "error", or {"error": {"grpc_code": N, "message": TEXT}} in a stream. */
static bool take_error(struct json_object *object, struct etcd_answer *answer)
{
	struct json_object *inside = member(object, "error", json_type_object);
	struct json_object *text;
	uint64_t code;

	if (inside) {
		code = number(inside, "grpc_code");
		if (!code)
			code = number(inside, "code");
		text = member(inside, "message", json_type_string);
	} else {
		code = number(object, "code");
		text = member(object, "error", json_type_string);
		if (!text)
			text = member(object, "message", json_type_string);
		if (!code && !text)
			return false;
	}
	answer->code = code && code < 100 ? (int)code : CODE_UNKNOWN;
	take_message(text ? json_object_get_string(text) : "", answer);
	if (!*answer->message)
		take_message("an error without a word", answer);
	return true;
}

static bool take_kv(struct json_object *object, struct etcd_kv *kv,
		    size_t *key_bytes)
{
	size_t value_bytes;

	kv->key = bytes_of(object, "key", key_bytes);
	kv->value = bytes_of(object, "value", &value_bytes);
	/* Somebody else's: it is skipped as one that is empty. */
	if (kv->value && strlen(kv->value) != value_bytes)
		*kv->value = '\0';
	kv->mod_revision = number(object, "mod_revision");
	kv->lease = number(object, "lease");
	return kv->key && kv->value && *key_bytes;
}

/* An event has its key in a member. */
static bool take_event(struct json_object *event, struct etcd_kv *kv,
		       size_t *key_bytes)
{
	struct json_object *type = member(event, "type", json_type_string);
	struct json_object *inside = member(event, "kv", json_type_object);

	kv->deleted = type && !strcmp(json_object_get_string(type), "DELETE");
	return inside && take_kv(inside, kv, key_bytes);
}

static void drop_kv(struct etcd_kv *kv)
{
	free(kv->key);
	free(kv->value);
	*kv = (struct etcd_kv){ 0 };
}

static bool keep_last(struct etcd_answer *answer, const char *key, size_t bytes)
{
	answer->last = malloc(bytes + 1);
	if (!answer->last)
		return false;
	memcpy(answer->last, key, bytes + 1);
	answer->last_bytes = bytes;
	return true;
}

/* The next key.  Only one that is text is kept: anybody who may write a key
 * must not be able to hide the others. */
static bool take_next(struct json_object *at, bool events, bool is_last,
		      struct etcd_answer *answer)
{
	struct etcd_kv *kv = &answer->kvs[answer->n];
	size_t bytes = 0;

	answer->n++; /* so that what was taken of it is freed */
	if (!(events ? take_event(at, kv, &bytes) : take_kv(at, kv, &bytes)) ||
	    (is_last && !keep_last(answer, kv->key, bytes)))
		return false;
	if (strlen(kv->key) != bytes)
		drop_kv(&answer->kvs[--answer->n]);
	return true;
}

static bool take_kvs(struct json_object *array, bool events,
		     struct etcd_answer *answer)
{
	size_t n = json_object_array_length(array);

	if (!n)
		return true;
	answer->kvs = calloc(n, sizeof *answer->kvs);
	if (!answer->kvs)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!take_next(json_object_array_get_idx(array, i), events,
			       i + 1 == n, answer))
			return false;
	}
	if (!answer->n) {
		free(answer->kvs);
		answer->kvs = NULL;
	}
	return true;
}

/* The keys of a range: of the answer itself, or of the first response in a
 * txn's. */
static struct json_object *find_kvs(struct json_object *object)
{
	struct json_object *responses =
		member(object, "responses", json_type_array);

	if (responses && json_object_array_length(responses))
		object = member(json_object_array_get_idx(responses, 0),
				"response_range", json_type_object);
	return member(object, "kvs", json_type_array);
}

static bool take_lists(struct json_object *object, struct etcd_answer *answer)
{
	struct json_object *events = member(object, "events", json_type_array);
	struct json_object *kvs = find_kvs(object);

	if (events)
		return take_kvs(events, true, answer);
	return !kvs || take_kvs(kvs, false, answer);
}

static bool take_all(struct json_object *object, struct etcd_answer *answer)
{
	struct json_object *header = member(object, "header", json_type_object);
	struct json_object *token = member(object, "token", json_type_string);

	if (!header)
		return false;
	answer->cluster = number(header, "cluster_id");
	answer->revision = number(header, "revision");
	answer->more = truth(object, "more");
	answer->succeeded = truth(object, "succeeded");
	answer->lease = number(object, "ID");
	answer->ttl_s = number(object, "TTL");
	answer->created = truth(object, "created");
	answer->canceled = truth(object, "canceled");
	answer->compact_revision = number(object, "compact_revision");
	if (token) {
		answer->token = strdup(json_object_get_string(token));
		if (!answer->token)
			return false;
	}
	return take_lists(object, answer);
}

/* --- the whole --- */

static struct json_object *parse(const char *text, size_t bytes)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *object;

	if (!tokener || bytes > ETCD_ANSWER_MAX_BYTES) {
		if (tokener)
			json_tokener_free(tokener);
		return NULL;
	}
	object = json_tokener_parse_ex(tokener, text, (int)bytes);
	json_tokener_free(tokener);
	return object;
}

int etcd_answer_parse(const char *text, size_t bytes,
		      struct etcd_answer *answer, struct error *why)
{
	struct json_object *object = parse(text, bytes);
	struct json_object *result = member(object, "result", json_type_object);
	bool ok;

	*answer = (struct etcd_answer){ 0 };
	ok = object && (take_error(object, answer) ||
			take_all(result ? result : object, answer));
	json_object_put(object);
	if (ok)
		return 0;
	etcd_answer_free(answer);
	error_set(why, "what answers is not etcd's API of version 3");
	return -EPROTO;
}

void etcd_answer_free(struct etcd_answer *answer)
{
	for (unsigned i = 0; i < answer->n; i++)
		drop_kv(&answer->kvs[i]);
	free(answer->kvs);
	free(answer->last);
	if (answer->token)
		explicit_bzero(answer->token, strlen(answer->token));
	free(answer->token);
	*answer = (struct etcd_answer){ 0 };
}

/* The words are gRPC's: the code is that of a full store as well. */
bool etcd_answer_is_too_large(const struct etcd_answer *answer)
{
	return answer->code == ETCD_EXHAUSTED &&
	       strstr(answer->message, "message larger than max");
}
