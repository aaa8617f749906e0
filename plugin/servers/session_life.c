#include "session.h"

#include <pthread.h>

/* From UP or RECOVERING to DOWN; returns how many pages were lost.  The links
 * are closed first, so that the requests in the server's slabs end.  DOWN is
 * set last, so that requests wait for this server until it is known which of
 * its pages other servers have. */
int64_t session_go_down(struct server *server, const char *why)
{
	int64_t lost;

	server_break(server, why);
	session_close_links(server);
	lost = session_lose_slabs(server);
	server_forget_identity(server);
	server_set_state(server, SERVER_DOWN);
	session_refuse_slabs(server);
	return lost;
}

/* Tells session_wait_first how the first attempt went. */
void session_report_first(struct server *server, int rc,
			  const struct error *why)
{
	pthread_mutex_lock(&server->lock);
	if (!server->locked.first_over) {
		server->locked.first_over = true;
		server->locked.first_status = rc;
		if (rc)
			server->locked.first_error = *why;
		pthread_cond_broadcast(&server->locked.changed);
	}
	pthread_mutex_unlock(&server->lock);
}
