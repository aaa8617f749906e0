#include "lookup.h"

#include <ctype.h>
#include <string.h>

#include "admission.h"

struct session *session_find(const struct sessions *sessions, uint64_t key)
{
	struct session *session;

	TAILQ_FOREACH(session, &sessions->list, entry)
	{
		if (session->owner.key == key)
			return session;
	}
	return NULL;
}

bool session_is_at(const struct sessions *sessions, const struct net_addr *addr)
{
	const struct session *session;

	TAILQ_FOREACH(session, &sessions->list, entry)
	{
		if (session->state != SESSION_ENDING &&
		    admission_same_address(&session->addr, addr))
			return true;
	}
	return false;
}

const char *session_identity(const struct session *session)
{
	return session->client_account->identity;
}

const char *session_state_name(enum session_state state)
{
	static const char *const names[] = {
		[SESSION_OPEN] = "connected",
		[SESSION_RESUMING] = "resuming",
		[SESSION_DISCONNECTED] = "disconnected",
		[SESSION_ENDING] = "ending",
	};

	return names[state];
}

void session_clean_name(const char *name, char clean[WIRE_NAME_BYTES])
{
	size_t i;

	for (i = 0; i < WIRE_NAME_BYTES - 1 && name[i]; i++)
		clean[i] = isprint((unsigned char)name[i]) ? name[i] : '_';
	clean[i] = '\0';
	if (!i)
		strcpy(clean, "-");
}
