#include "peername.h"

#include <stdio.h>
#include <string.h>

struct peer_name peer_name(const char *identity, const char *address)
{
	struct peer_name name;

	snprintf(name.text, sizeof name.text, "%s%s%s", identity,
		 *identity ? "@" : "", address);
	return name;
}

const char *peer_name_address(const struct peer_name *name)
{
	const char *at = strrchr(name->text, '@');

	return at ? at + 1 : name->text;
}

size_t peer_name_identity(const struct peer_name *name)
{
	const char *at = strrchr(name->text, '@');

	return at ? (size_t)(at - name->text) : 0;
}

struct peer_name peer_name_without_port(const struct peer_name *name)
{
	struct peer_name without = *name;
	char *port = strrchr(without.text, ':');

	if (port)
		*port = '\0';
	return without;
}
