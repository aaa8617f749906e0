#include "statusjson.h"

#include <json-c/json.h>

#include "findingjson.h"
#include "front.h"

static struct json_object *targets;

static void add(struct json_object *to, const char *key,
		struct json_object *value)
{
	json_object_object_add(to, key, value);
}

static void add_text(struct json_object *to, const char *key, const char *text)
{
	add(to, key, json_object_new_string(text));
}

static void add_number(struct json_object *to, const char *key, uint64_t n)
{
	add(to, key, json_object_new_uint64(n));
}

static void add_bool(struct json_object *to, const char *key, bool value)
{
	add(to, key, json_object_new_boolean(value));
}

static void add_trouble(void *to, const struct finding *finding)
{
	json_object_array_add(to, findingjson(finding));
}

/* The kernel's side of the device. */
static struct json_object *kernel(const struct devstate *d)
{
	struct json_object *k = json_object_new_object();

	add_bool(k, "connected", d->connected);
	if (d->swap_known)
		add_bool(k, "swap", d->swap.active);
	if (d->swap.active) {
		add_text(k, "swap_device", d->swap_device);
		add_number(k, "used_bytes", d->swap.used_bytes);
		add(k, "priority", json_object_new_int(d->swap.priority));
	}
	if (d->holders[0])
		add_text(k, "holders", d->holders);
	add_number(k, "reads_in_flight", d->reads_in_flight);
	add_number(k, "writes_in_flight", d->writes_in_flight);
	return k;
}

void statusjson_add(const struct survey *survey)
{
	const struct target *target = survey->target;
	struct json_object *t = json_object_new_object();
	struct json_object *troubles = json_object_new_array();

	add_text(t, "name", target->name);
	add_text(t, "socket", target->socket);
	if (survey->answer)
		add(t, "status", json_object_get(survey->answer));
	else
		add_text(t, "error", survey->why.text);
	if (target->state) {
		add_text(t, "front", target->state->front->program);
		if (*target->state->device)
			add_text(t, "device", target->state->device);
		add(t, "kernel", kernel(&survey->device));
	}
	survey_judge(survey, add_trouble, troubles);
	add(t, "troubles", troubles);
	if (!targets)
		targets = json_object_new_array();
	json_object_array_add(targets, t);
}

void statusjson_print(FILE *out, bool pretty)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;
	struct json_object *all = json_object_new_object();

	flags |= pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
			: JSON_C_TO_STRING_PLAIN;
	add(all, "targets", targets ? targets : json_object_new_array());
	fprintf(out, "%s\n", json_object_to_json_string_ext(all, flags));
	fflush(out);
	json_object_put(all);
	targets = NULL;
}
