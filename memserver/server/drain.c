#include "drain.h"

#include "events.h"
#include "log.h"
#include "session/release.h"

void drain_begin(struct server *server, const char *asked)
{
	struct sessions *sessions = &server->sessions;
	uint32_t slabs = release_held(sessions).slabs;

	if (sessions->drain != RELEASE_SERVING || sessions->stopping)
		return;
	log_notice("draining, as asked %s: clients have to move %u slabs away",
		   asked, slabs);
	events_add(EVENT_DRAIN, "", "%u slabs to be moved away", slabs);
	release_drain(sessions, RELEASE_DRAINING);
}

bool drain_end(struct server *server, const char *asked)
{
	struct sessions *sessions = &server->sessions;

	if (sessions->drain == RELEASE_LEAVING || sessions->stopping)
		return false;
	if (sessions->drain == RELEASE_SERVING)
		return true;
	log_notice("serving again, as asked %s", asked);
	events_add(EVENT_SERVING, "", "the drain was taken back");
	release_drain(sessions, RELEASE_SERVING);
	return true;
}
