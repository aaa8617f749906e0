#include "probe.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "helper.h"
#include "session.h"

struct asking {
	const struct engine_config *config;
	const struct net_name *server;
	uint64_t deadline_ns;
	struct probe_answer *answer;
	pthread_t thread;
	bool has_thread;
};

static void *ask(void *arg)
{
	struct asking *a = arg;

	a->answer->rc = session_probe(a->server, a->config->transport,
				      a->config->tls, a->deadline_ns,
				      &a->answer->welcome, &a->answer->why);
	return NULL;
}

/* The last one, and those for which there is no thread, in this thread. */
static void ask_all(struct asking *askings, uint32_t n)
{
	for (uint32_t i = 0; i + 1 < n; i++)
		askings[i].has_thread = !helper_start(
			&askings[i].thread, "probe", ask, &askings[i]);
	for (uint32_t i = n; i-- > 0;) {
		if (!askings[i].has_thread)
			ask(&askings[i]);
	}
	for (uint32_t i = 0; i < n; i++) {
		if (askings[i].has_thread)
			pthread_join(askings[i].thread, NULL);
	}
}

void probe_servers(const struct engine_config *config,
		   const struct net_name *servers, uint32_t n,
		   uint64_t deadline_ns, struct probe_answer *answers)
{
	struct asking *askings = calloc(n, sizeof *askings);

	for (uint32_t i = 0; i < n; i++) {
		if (askings)
			askings[i] =
				(struct asking){ .config = config,
						 .server = &servers[i],
						 .deadline_ns = deadline_ns,
						 .answer = &answers[i] };
		answers[i].rc = -ENOMEM;
		error_set(&answers[i].why, "out of memory");
	}
	if (askings)
		ask_all(askings, n);
	free(askings);
}
