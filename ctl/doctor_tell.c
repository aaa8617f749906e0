#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>

#include "error.h"

unsigned doctor_concerned, doctor_failures[N_ROLES];

void doctor_tell(enum found found, const char *what, const char *remedy,
		 const char *format, ...)
{
	static const char *const words[] = { "ok", "warn", "FAIL" };
	va_list ap;

	for (int role = 0; role < N_ROLES && found == FOUND_FAIL; role++)
		doctor_failures[role] += doctor_concerned >> role & 1;
	printf("%-5s %-22s ", words[found], what);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	if (remedy)
		printf("  -> %s", remedy);
	putchar('\n');
}

void doctor_tell_finding(void *arg, const struct finding *finding)
{
	bool fails =
		!finding->adds && finding_health(finding->code) == HEALTH_BAD;

	doctor_tell(fails ? FOUND_FAIL : FOUND_WARN, arg,
		    finding_action(finding), "%s [%s]", finding->what,
		    finding_name(finding));
}

void doctor_find(const char *what, enum finding_code code, const char *format,
		 ...)
{
	char text[sizeof(struct error) + 128];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	doctor_tell_finding((void *)what,
			    &(struct finding){ code, text, NULL, false });
}
