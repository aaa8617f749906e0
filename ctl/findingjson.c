#include "findingjson.h"

#include <json-c/json.h>

static void add(struct json_object *to, const char *key, const char *text)
{
	json_object_object_add(to, key, json_object_new_string(text));
}

struct json_object *findingjson(const struct finding *finding)
{
	struct json_object *object = json_object_new_object();
	const char *action = finding_action(finding);

	add(object, "code", finding_name(finding));
	add(object, "health",
	    health_name(finding->adds ? HEALTH_GOOD
				      : finding_health(finding->code)));
	add(object, "what", finding->what);
	if (action)
		add(object, "action", action);
	return object;
}
