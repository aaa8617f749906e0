/* Preloaded into an nbdkit whose plugin is sanitized, together with the
 * sanitizer's library.  With either of these (gcc 12, glibc 2.36), and any
 * plugin, the C library's lock around locales counts one reader less than none;
 * then p11-kit, which frees a locale when the process ends, waits for ever. So
 * here that locale is left to the end. */
#include <locale.h>

__attribute__((visibility("default"))) void freelocale(locale_t locale)
{
	(void)locale;
}
