#include "order.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "jsonout.h"
#include "value.h"

static const char *const kinds[] = {
	[ORDER_DRAIN] = "drain", [ORDER_SERVE] = "serve"
};

#define KINDS (sizeof kinds / sizeof kinds[0])

void order_write(const struct order *order, FILE *out)
{
	struct jsonout j = { .out = out };

	jsonout_begin(&j, NULL, '{');
	jsonout_text(&j, "order", kinds[order->kind]);
	jsonout_hex(&j, "incarnation", order->incarnation,
		    sizeof order->incarnation);
	jsonout_end(&j, '}');
}

static bool take_kind(struct json_object *object, struct order *order)
{
	char text[16];
	size_t i = 0;

	if (!value_text(object, "order", text, sizeof text))
		return false;
	while (i < KINDS && strcmp(text, kinds[i]))
		i++;
	order->kind = (enum order_kind)i;
	return i < KINDS;
}

int order_parse(const char *value, struct order *order, struct error *why)
{
	struct json_object *object = value_parse(value);
	const char *wrong = NULL;

	*order = (struct order){ 0 };
	if (!object)
		wrong = "value is no JSON object";
	else if (!take_kind(object, order))
		wrong = "order is neither drain nor serve";
	else if (!value_incarnation(object, order->incarnation))
		wrong = "incarnation is not 32 hexadecimal digits";
	json_object_put(object);
	if (!wrong)
		return 0;
	error_set(why, "its %s", wrong);
	return -EINVAL;
}
