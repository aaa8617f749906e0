/* Values as people write them: sizes, numbers, HOST:PORT, K+M, names of devices
 * and groups.  Each line of the input is one. */
#include <string.h>

#include "fuzz.h"
#include "net.h"
#include "pages/redundancy/redundancy.h"
#include "size.h"

static void take_size(const char *line)
{
	uint64_t bytes = 7, again = 8;

	if (!size_parse(line, &bytes)) {
		REQUIRE(bytes == 7);
		return;
	}
	REQUIRE(bytes <= INT64_MAX);
	REQUIRE(size_parse(size_format(bytes).text, &again) && again == bytes);
}

static void take_number(const char *line)
{
	uint64_t n;

	if (number_parse(line, 3, 1000, &n))
		REQUIRE(n >= 3 && n <= 1000);
	if (number_parse(line, 0, UINT64_MAX, &n))
		REQUIRE(*line >= '0' && *line <= '9');
}

static void take_name(const char *line)
{
	struct net_name name, again;
	struct error why;

	if (!net_name_parse(line, 1, &name, &why)) {
		REQUIRE(strlen(why.text) < sizeof why.text);
		return;
	}
	REQUIRE(*name.host && strlen(name.host) < sizeof name.host);
	/* a message shows the beginning of a long host */
	if (strlen(name.host) < 90 && !strpbrk(name.host, "[]"))
		REQUIRE(net_name_parse(net_name_format(&name).text, 2, &again,
				       &why) &&
			!strcmp(again.host, name.host) &&
			again.port == name.port);
}

static void take_shares(const char *line)
{
	uint32_t k = 0, m = 0;

	if (redundancy_parse(line, &k, &m))
		REQUIRE(k >= 2 && k <= 8 && m >= 1 && m <= 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size), *at = text, *line;

	while ((line = text_line(&at))) {
		take_size(line);
		take_number(line);
		take_name(line);
		take_shares(line);
	}
	free(text);
	return 0;
}
