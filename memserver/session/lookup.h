/* Finding a session, and what others are told of it.  Main loop only. */
#ifndef RSWAP_MEMSERVER_LOOKUP_H
#define RSWAP_MEMSERVER_LOOKUP_H

#include "session.h"

/* The session with that KEY, which may be ending.  NULL: there is none. */
struct session *session_find(const struct sessions *sessions, uint64_t key);

/* Whether a session's client is at ADDR, or was there when its connection was
 * lost. */
bool session_is_at(const struct sessions *sessions,
		   const struct net_addr *addr);

/* The identity that opened the session, or "" where clients have no keys. */
const char *session_identity(const struct session *session);

const char *session_state_name(enum session_state state);

/* Copies NAME, as the client sent it, in characters that are fit for a log line
 * and a status value. */
void session_clean_name(const char *name, char clean[WIRE_NAME_BYTES]);

#endif
