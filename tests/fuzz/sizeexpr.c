/* A size of attach, which may be an expression (ctl/sizeexpr.c): the first line
 * is the machine's memory. */
#include <string.h>

#include "fuzz.h"
#include "size.h"
#include "sizeexpr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size);
	char *rest = text;
	char *first = text_line(&rest);
	char *expression = first ? text_line(&rest) : NULL;
	uint64_t ram = 0, bytes = UINT64_MAX, again = UINT64_MAX;
	struct error why = { "" };

	if (expression && size_parse(first, &ram)) {
		if (sizeexpr_parse(expression, ram, &bytes, &why)) {
			REQUIRE(bytes <= INT64_MAX);
			/* its value is a plain size */
			REQUIRE(sizeexpr_parse(size_format(bytes).text, ram,
					       &again, &why));
			REQUIRE(again == bytes);
		} else {
			REQUIRE(*why.text && bytes == UINT64_MAX);
		}
	}
	free(text);
	return 0;
}
