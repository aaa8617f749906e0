#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "grants/held.h"
#include "links/transports.h"
#include "lookup.h"
#include "loops/container.h"
#include "output/output.h"
#include "release.h"
#include "events.h"
#include "size.h"

/* Keys count up, so that the session of a key is long gone when the key comes
 * again. */
static uint32_t new_key(struct sessions *sessions)
{
	do {
		sessions->last_key++;
	} while (!sessions->last_key ||
		 session_find(sessions, sessions->last_key));
	return sessions->last_key;
}

static void set_state(struct session *session, enum session_state state)
{
	session->state = state;
	session->since_ns = clock_now_ns();
}

/* --- the beginning --- */

/* Ends a disconnected session that holds nothing: of CLIENT and of TENANT,
 * unless that is NULL.  False when there is none. */
static bool displace(struct sessions *sessions,
		     const struct client_account *client,
		     const struct tenant *tenant)
{
	struct session *session;

	TAILQ_FOREACH(session, &sessions->list, entry)
	{
		if (session->state != SESSION_DISCONNECTED ||
		    session->owner.slab_count || session->owner.granted ||
		    (client && session->client_account != client) ||
		    (tenant && session->owner.tenant != tenant))
			continue;
		session_end(session, "to make room for another");
		return true;
	}
	return false;
}

/* The same for the account of CLIENT, which is full, or the server's. */
static bool displace_for(struct sessions *sessions,
			 const struct client_account *client,
			 const struct tenant *tenant)
{
	const struct account *server = &sessions->accounts.server;
	struct error why;

	if (displace(sessions, client, NULL))
		return true;
	return account_is_full(server, LIMITED_SESSIONS, &why) &&
	       (displace(sessions, NULL, tenant) ||
		displace(sessions, NULL, NULL));
}

/* Whether SESSION, a new one, has a place, after others gave way. */
static bool make_room(struct session *session, struct error *why)
{
	struct sessions *sessions = session->sessions;
	const struct tenant *tenant = session->owner.tenant;
	const struct client_account *client = session->client_account;

	while (!tenant_has_place(tenant, session->links.most, why)) {
		if (!displace(sessions, NULL, tenant))
			return false;
	}
	while (account_is_full(&client->account, LIMITED_SESSIONS, why)) {
		if (!displace_for(sessions, client, tenant))
			return false;
	}
	return true;
}

/* Each link may be one that a control connection becomes (link_admit). */
static uint64_t files_of(const struct link_set *links)
{
	const struct link_ops *adopter = transports_adopter(links->links);
	unsigned files = links->ops->files;

	if (adopter && adopter->files > files)
		files = adopter->files;
	return (uint64_t)files * links->most;
}

/* What the session needs from the beginning.  Nothing is taken on failure. */
static bool take_limited(struct session *session, struct error *why)
{
	struct account *account = &session->owner.account;
	const struct link_set *links = &session->links;

	if (!account_take(account, LIMITED_SESSIONS, 1, why))
		return false;
	if (account_take(account, LIMITED_LANES, links->most, why)) {
		if (account_take(account, LIMITED_FILES, files_of(links), why))
			return true;
		account_give(account, LIMITED_LANES, links->most);
	}
	account_give(account, LIMITED_SESSIONS, 1);
	return false;
}

static void give_limited(struct session *session)
{
	struct account *account = &session->owner.account;

	account_give(account, LIMITED_SESSIONS, 1);
	account_give(account, LIMITED_LANES, session->links.most);
	account_give(account, LIMITED_FILES, files_of(&session->links));
}

static void grace_cb(struct ev_loop *loop, ev_timer *watcher, int events);
static void links_ready(struct link_set *links);
static void links_fenced(struct link_set *links);
static void link_is_gone(struct link_set *links);
static void owner_settled(struct owner *owner);

static void open_links(struct session *session, const struct wire_open *open)
{
	struct link_set *links = &session->links;

	links->links = session->sessions->links;
	links->ops = transport_by_bit(open->transport);
	links->key = session->owner.key;
	links->most = open->lanes;
	links->weight = &session->owner.tenant->weight;
	links->ready = links_ready;
	links->fenced = links_fenced;
	links->gone = link_is_gone;
}

static void open_owner(struct session *session, struct client *client,
		       struct tenant *tenant, const struct wire_open *open)
{
	struct owner *owner = &session->owner;

	owner->grants = session->sessions->grants;
	owner->tenant = tenant;
	owner->links = &session->links;
	owner->key = new_key(session->sessions);
	owner->size_bytes = open->size_bytes;
	owner->client = client;
	owner->peer = &session->peer;
	owner->settled = owner_settled;
	held_open(owner);
	grant_open(owner);
}

/* Ends what session_new began, of a session that has taken nothing. */
static void session_free(struct session *session)
{
	if (session->client_account)
		accounts_leave(&session->sessions->accounts,
			       session->client_account);
	free(session);
}

static struct session *session_new(struct sessions *sessions,
				   struct client *client, struct tenant *tenant,
				   const struct wire_open *open)
{
	struct session *session = calloc(1, sizeof *session);

	if (!session)
		return NULL;
	session->sessions = sessions;
	set_state(session, SESSION_OPEN);
	ev_init(&session->grace, grace_cb);
	open_owner(session, client, tenant, open);
	open_links(session, open);
	session->client_account = accounts_enter(&sessions->accounts, client);
	if (!session->client_account ||
	    !resumption_open(&session->resumption)) {
		session_free(session);
		return NULL;
	}
	session->links.identity = session->client_account->identity;
	accounts_open(&session->owner.account, session->client_account);
	return session;
}

/* 0 or an enum wire_error_code, and WHY. */
static uint32_t enter(struct session *session, struct error *why)
{
	struct sessions *sessions = session->sessions;
	struct tenant *tenant = session->owner.tenant;

	if (!make_room(session, why) || !take_limited(session, why))
		return WIRE_E_LIMIT;
	tenant->sessions++;
	tenant->lanes += session->links.most;
	TAILQ_INSERT_TAIL(&sessions->list, session, entry);
	sessions->count++;
	return 0;
}

static struct session *open_as(struct sessions *sessions, struct client *client,
			       struct tenant *tenant,
			       const struct wire_open *open, uint32_t *code,
			       struct error *why)
{
	struct session *session = session_new(sessions, client, tenant, open);

	if (!session) {
		*code = WIRE_E_INTERNAL;
		error_set(why, "the server is out of memory");
		return NULL;
	}
	*code = enter(session, why);
	if (*code) {
		session_free(session);
		return NULL;
	}
	return session;
}

struct session *session_open(struct sessions *sessions, struct client *client,
			     const char *name, const struct peer_name *peer,
			     const struct wire_open *open, uint32_t *code,
			     struct error *why)
{
	int err = 0;
	struct tenant *tenant = tenants_enter(sessions->grants->tenants,
					      client->identity, &err, why);
	struct session *session;

	if (!tenant) {
		*code = err == -EACCES ? WIRE_E_IDENTITY : WIRE_E_INTERNAL;
		return NULL;
	}
	session = open_as(sessions, client, tenant, open, code, why);
	if (!session) {
		tenants_leave(tenant);
		return NULL;
	}
	session_clean_name(name, session->name);
	session->peer = *peer;
	output_news(&session->peer,
		    "session %u: opened by %s at %s, %s over %s",
		    session->owner.key, session->name, session->peer.text,
		    size_format(session->owner.size_bytes).text,
		    session->links.ops->name);
	events_add(EVENT_SESSION_OPENED,
		   peer_name_without_port(&session->peer).text,
		   "session %u: %s, %s over %s", session->owner.key,
		   session->name, size_format(session->owner.size_bytes).text,
		   session->links.ops->name);
	return session;
}

/* --- the end --- */

/* Frees an ending session once everything of it has come back. */
static void settle(struct session *session)
{
	struct sessions *sessions = session->sessions;
	struct owner *owner = &session->owner;
	struct tenant *tenant = owner->tenant;

	if (session->state != SESSION_ENDING || session->links.count)
		return;
	grant_put_spare_back(owner);
	if (!held_free_all(owner) || owner->granted || owner->held_count)
		return;
	held_stop(owner);
	if (session->links.domain)
		session->links.ops->domain_put(session->links.domain);
	TAILQ_REMOVE(&sessions->list, session, entry);
	sessions->count--;
	tenant->lanes -= session->links.most;
	give_limited(session);
	session_free(session);
	tenants_leave(tenant);
	if (sessions->gone)
		sessions->gone(sessions);
}

static void owner_settled(struct owner *owner)
{
	settle(container_of(owner, struct session, owner));
}

static void link_is_gone(struct link_set *links)
{
	settle(container_of(links, struct session, links));
}

static void end(struct session *session, const char *how, const char *why)
{
	output_news(&session->peer, "session %u: %s (%s), gives %u slab%s back",
		    session->owner.key, how, why, session->owner.slab_count,
		    session->owner.slab_count == 1 ? "" : "s");
	events_add(EVENT_SESSION_ENDED,
		   peer_name_without_port(&session->peer).text,
		   "session %u: %s (%s), gives %u slabs back",
		   session->owner.key, how, why, session->owner.slab_count);
	ev_timer_stop(session->sessions->loop, &session->grace);
	set_state(session, SESSION_ENDING);
	session->owner.tenant->sessions--;
	session->owner.client = NULL;
	session->owner.ending = true;
	link_set_close(&session->links);
	settle(session);
}

void session_end(struct session *session, const char *why)
{
	end(session, "ended", why);
}

void session_end_disconnected(struct sessions *sessions, const char *why)
{
	struct session *next;

	for (struct session *session = TAILQ_FIRST(&sessions->list); session;
	     session = next) {
		next = TAILQ_NEXT(session, entry);
		if (session->state == SESSION_DISCONNECTED)
			session_end(session, why);
	}
}

/* --- losing the connection, and RESUME --- */

static void grace_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	end(container_of(watcher, struct session, grace), "given up",
	    "not resumed in time");
}

void session_lost(struct session *session, const char *why)
{
	struct sessions *sessions = session->sessions;
	unsigned grace_s = sessions->grace_s;

	if (!grace_s || sessions->stopping) {
		session_end(session, why);
		return;
	}
	output_news(&session->peer,
		    "session %u: disconnected (%s), keeps %u slab%s for %u s",
		    session->owner.key, why, session->owner.slab_count,
		    session->owner.slab_count == 1 ? "" : "s", grace_s);
	events_add(EVENT_SESSION_DISCONNECTED,
		   peer_name_without_port(&session->peer).text,
		   "session %u: %s; keeps %u slabs for %u s",
		   session->owner.key, why, session->owner.slab_count, grace_s);
	set_state(session, SESSION_DISCONNECTED);
	session->owner.client = NULL;
	link_set_close(&session->links);
	grant_put_spare_back(&session->owner);
	ev_timer_set(&session->grace, grace_s, 0.);
	ev_now_update(sessions->loop);
	ev_timer_start(sessions->loop, &session->grace);
}

/* SESSION is the one that RESUME names, or NULL. */
static bool is_resumable(const struct sessions *sessions,
			 struct session *session, const struct client *client,
			 const struct wire_resume *resume, struct error *why)
{
	uint64_t key = resume->session;

	if (!session && (!key || key > sessions->last_key))
		error_set(why, "there never was a session %" PRIu64, key);
	else if (!session || session->state == SESSION_ENDING)
		error_set(why,
			  "session %" PRIu64 " has ended; without a connection "
			  "a session lives for %u s",
			  key, sessions->grace_s);
	else if (strcmp(session_identity(session), client->identity))
		error_set(why, "session %" PRIu64 " is another identity's",
			  key);
	else if (!resumption_take(&session->resumption, resume->token))
		error_set(why,
			  "the token does not resume session %" PRIu64
			  ", or does so no longer",
			  key);
	else
		return true;
	return false;
}

static void fence(struct session *session, uint32_t cookie)
{
	session->fence_cookie = cookie;
	link_set_fence(&session->links);
}

struct session *session_resume(struct sessions *sessions, struct client *client,
			       const struct peer_name *peer,
			       const struct wire_resume *resume,
			       uint32_t cookie, struct error *why)
{
	struct session *session = session_find(sessions, resume->session);
	struct owner *owner;

	if (!is_resumable(sessions, session, client, resume, why))
		return NULL;
	owner = &session->owner;
	output_news(peer, "session %u: resumed by %s at %s%s, with %u slab%s",
		    owner->key, session->name, peer->text,
		    owner->client ? ", in place of a connection" : "",
		    owner->slab_count, owner->slab_count == 1 ? "" : "s");
	events_add(EVENT_SESSION_RESUMED, peer_name_without_port(peer).text,
		   "session %u: with %u slabs", owner->key, owner->slab_count);
	ev_timer_stop(sessions->loop, &session->grace);
	if (owner->client)
		owner->client->abandon(owner->client);
	owner->client = client;
	owner->connection++;
	session->peer = *peer;
	set_state(session, SESSION_RESUMING);
	fence(session, cookie);
	return session;
}

/* Nothing that came before RESUMED shows that RESUMED came. */
void session_heard(struct session *session)
{
	if (session->state == SESSION_OPEN)
		resumption_confirm(&session->resumption);
}

/* --- links --- */

static void links_ready(struct link_set *links)
{
	grant_spare(&container_of(links, struct session, links)->owner);
}

static void resumed(struct session *session)
{
	struct owner *owner = &session->owner;
	struct wire_message reply = {
		.type = WIRE_RESUMED,
		.cookie = session->fence_cookie,
		.resumed = { .session = owner->key,
			     .free_bytes = grant_free_bytes(owner),
			     .slabs = owner->slab_count },
	};

	memcpy(reply.resumed.token, session->resumption.token,
	       sizeof reply.resumed.token);
	set_state(session, SESSION_OPEN);
	client_reply(owner->client, &reply);
	release_tell(session);
}

static void links_fenced(struct link_set *links)
{
	struct session *session = container_of(links, struct session, links);
	struct wire_message reply = {
		.type = WIRE_FENCED,
		.cookie = session->fence_cookie,
		.fenced.lanes_closed = links->fence_closed,
	};

	if (session->state == SESSION_RESUMING)
		resumed(session);
	else
		client_reply(session->owner.client, &reply);
}

uint32_t session_fence(struct session *session, uint32_t cookie)
{
	if (session->links.fencing)
		return WIRE_E_LIMIT;
	fence(session, cookie);
	return 0;
}

/* A session without a control connection takes no link: no FENCE could close
 * it. */
static struct link_set *find_links(void *arg, uint64_t key)
{
	struct session *session = session_find(arg, key);

	return session && session->owner.client ? &session->links : NULL;
}

void sessions_init(struct sessions *sessions, struct links *links,
		   struct grants *grants, struct ev_loop *loop)
{
	*sessions = (struct sessions){ .loop = loop,
				       .grants = grants,
				       .links = links };
	accounts_init(&sessions->accounts);
	TAILQ_INIT(&sessions->list);
	links->find = find_links;
	links->find_arg = sessions;
}

/* --- slabs --- */

uint32_t session_free_slab(struct session *session, uint32_t number)
{
	uint32_t code = held_free(&session->owner, number);

	if (!code)
		release_given_back(session);
	return code;
}
