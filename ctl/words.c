#include "words.h"

#include <inttypes.h>
#include <stdio.h>

struct word words_bytes(uint64_t bytes)
{
	static const char units[] = "KMGTP";
	double n = (double)bytes;
	int unit = -1;
	struct word w;

	while (n >= 1024 && unit < 4) {
		n /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(w.text, sizeof w.text, "%" PRIu64 " B", bytes);
	else
		/* 64 GiB, but 1.5 GiB */
		snprintf(w.text, sizeof w.text, "%.*f %ciB",
			 n < 100 && n != (double)(uint64_t)n ? 1 : 0, n,
			 units[unit]);
	return w;
}

#define MINUTE_S 60
#define HOUR_S	 (60 * MINUTE_S)
#define DAY_S	 (24 * HOUR_S)

struct word words_span(uint64_t s)
{
	/* two units, the second only where it is not 0 */
	static const struct {
		uint64_t s;
		const char *one, *many;
	} units[] = { { DAY_S, "day", "days" },
		      { HOUR_S, "h", "h" },
		      { MINUTE_S, "min", "min" },
		      { 1, "s", "s" } };
	size_t i = 0;
	uint64_t n, rest;
	struct word w;

	while (units[i].s > 1 && s < units[i].s)
		i++;
	n = s / units[i].s;
	rest = units[i].s > 1 ? s % units[i].s / units[i + 1].s : 0;
	if (rest)
		snprintf(w.text, sizeof w.text, "%" PRIu64 " %s %" PRIu64 " %s",
			 n, n == 1 ? units[i].one : units[i].many, rest,
			 units[i + 1].many);
	else
		snprintf(w.text, sizeof w.text, "%" PRIu64 " %s", n,
			 n == 1 ? units[i].one : units[i].many);
	return w;
}

struct word words_ago(uint64_t ms)
{
	struct word w;

	if (ms < 10000)
		snprintf(w.text, sizeof w.text, "%.1f s ago",
			 (double)ms / 1000);
	else
		snprintf(w.text, sizeof w.text, "%.40s ago",
			 words_span(ms / 1000).text);
	return w;
}

struct word words_latency(double us)
{
	struct word w;

	if (us < 999.5)
		snprintf(w.text, sizeof w.text, "%.0f us", us);
	else if (us < 999500)
		snprintf(w.text, sizeof w.text, "%.*f ms", us < 9950 ? 1 : 0,
			 us / 1e3);
	else
		snprintf(w.text, sizeof w.text, "%.1f s", us / 1e6);
	return w;
}
