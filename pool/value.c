#include "value.h"

#include <json-c/json.h>
#include <string.h>

#include "wire.h"

#define DEPTH_MAX	8
#define VALUE_BYTES_MAX 4096

struct json_object *value_parse(const char *text)
{
	struct json_tokener *tokener;
	struct json_object *object;
	size_t length = strnlen(text, VALUE_BYTES_MAX + 1);

	if (length > VALUE_BYTES_MAX)
		return NULL;
	tokener = json_tokener_new_ex(DEPTH_MAX);
	if (!tokener)
		return NULL;
	object = json_tokener_parse_ex(tokener, text, (int)length);
	json_tokener_free(tokener);
	if (json_object_is_type(object, json_type_object))
		return object;
	json_object_put(object);
	return NULL;
}

bool value_take_text(struct json_object *object, const char *name, char *text,
		     size_t size)
{
	struct json_object *found;
	const char *value;

	*text = '\0';
	if (!json_object_object_get_ex(object, name, &found))
		return true;
	value = json_object_get_string(found);
	if (!json_object_is_type(found, json_type_string) ||
	    strlen(value) >= size || !wire_name_ok(value))
		return false;
	memcpy(text, value, strlen(value) + 1);
	return true;
}

bool value_take_number(struct json_object *object, const char *name,
		       uint64_t max, uint64_t *n)
{
	struct json_object *found;
	int64_t value;

	*n = 0;
	if (!json_object_object_get_ex(object, name, &found))
		return true;
	value = json_object_get_int64(found);
	*n = (uint64_t)value;
	return json_object_is_type(found, json_type_int) && value >= 0 &&
	       *n <= max;
}
