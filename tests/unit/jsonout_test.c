/* What jsonout writes is JSON, as json-c reads it. */
#include "jsonout.h"
#include "support.h"

#include <json-c/json.h>

static char text[4096];

static struct json_object *write_text(const char *value)
{
	FILE *out = fmemopen(text, sizeof text, "w");
	struct jsonout j = { .out = out };
	struct json_tokener *tokener =
		json_tokener_new_ex(JSON_TOKENER_DEFAULT_DEPTH);
	struct json_object *read;

	jsonout_begin(&j, NULL, '{');
	jsonout_text(&j, value, value);
	jsonout_end(&j, '}');
	fclose(out);
	/* json-c would look for these itself with JSON_TOKENER_STRICT, but 0.18
	 * then takes no letter of two bytes. */
	for (const char *c = text; *c; c++)
		assert_false((unsigned char)*c < 0x20);
	read = json_tokener_parse_ex(tokener, text, (int)strlen(text));
	if (!read)
		fail_msg("%s: %s", text,
			 json_tokener_error_desc(
				 json_tokener_get_error(tokener)));
	json_tokener_free(tokener);
	return read;
}

static void assert_reads_as(const char *value, const char *expected)
{
	struct json_object *read = write_text(value), *found;

	assert_true(json_object_object_get_ex(read, expected, &found));
	assert_string_equal(json_object_get_string(found), expected);
	json_object_put(read);
}

static void text_comes_back(void **state)
{
	static const char *const texts[] = {
		"plain",
		"",
		"\"quoted\"",
		"back\\slash",
		"\n\t\r\b\f\x01\x1f\x7f",
		"/slash",
		"gr\xc3\xbc\xc3\x9f",
		"\xe2\x82\xac",
		"\xf0\x9f\x92\xbe",
		"\xed\x9f\xbf",
		"\xee\x80\x80",
		"\xf4\x8f\xbf\xbf",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_reads_as(texts[i], texts[i]);
}

/* As names of files may have them. */
static void what_is_not_utf8_is_replaced(void **state)
{
#define GONE "\xef\xbf\xbd"
	(void)state;
	assert_reads_as("\xff", GONE);
	assert_reads_as("a\x80z", "a" GONE "z");
	assert_reads_as("\xc3", GONE); /* cut */
	assert_reads_as("\xe2\x82", GONE GONE);
	assert_reads_as("\xc0\xaf", GONE GONE); /* longer than needed */
	assert_reads_as("\xe0\x80\xaf", GONE GONE GONE);
	assert_reads_as("\xed\xa0\x80", GONE GONE GONE); /* a surrogate */
	assert_reads_as("\xf4\x90\x80\x80", GONE GONE GONE GONE);
	assert_reads_as("\xf5\x80\x80\x80", GONE GONE GONE GONE);
}

static void members_and_elements_are_separated(void **state)
{
	static const uint8_t bytes[] = { 0x00, 0xab };
	FILE *out = fmemopen(text, sizeof text, "w");
	struct jsonout j = { .out = out };

	(void)state;
	jsonout_begin(&j, NULL, '{');
	jsonout_begin(&j, "empty", '[');
	jsonout_end(&j, ']');
	jsonout_begin(&j, "some", '[');
	jsonout_number(&j, NULL, 0);
	jsonout_number(&j, NULL, UINT64_MAX);
	jsonout_begin(&j, NULL, '{');
	jsonout_end(&j, '}');
	jsonout_null(&j, NULL);
	jsonout_end(&j, ']');
	jsonout_bool(&j, "yes", true);
	jsonout_real(&j, "half", 0.5);
	jsonout_hex(&j, "hex", bytes, sizeof bytes);
	jsonout_end(&j, '}');
	fclose(out);
	assert_string_equal(text,
			    "{\"empty\":[],\"some\":[0,18446744073709551615,"
			    "{},null],\"yes\":true,\"half\":0.500,"
			    "\"hex\":\"00ab\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_comes_back),
		cmocka_unit_test(what_is_not_utf8_is_replaced),
		cmocka_unit_test(members_and_elements_are_separated),
	};

	return cmocka_run_group_tests_name("jsonout", tests, NULL, NULL);
}
