#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "ctlsock.h"
#include "links/transports.h"
#include "log.h"
#include "loops/container.h"
#include "machine/memory.h"
#include "session/lookup.h"
#include "session/release.h"

/* `lock` protects fill, answered, closed and text.  The status thread asks, the
 * main loop answers, and status_stop closes. */
struct status {
	struct server *server;
	int listen_fd;
	int stop_fd;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t change;
	struct mail mail;
	void (*fill)(struct server *server, FILE *out);
	bool answered;
	bool closed;
	char *text; /* NULL: out of memory */
	size_t text_bytes;
};

/* --- the answer, on the main loop --- */

static void put_server(const struct server *server, FILE *out)
{
	const struct config *config = server->config;
	char names[TRANSPORTS_NAMES_BYTES];
	uint64_t up_ns = clock_now_ns() - server->start_ns;

	fprintf(out,
		"role memserver\nversion %s\npid %ld\nuptime_s %" PRIu64 "\n",
		RSWAP_VERSION, (long)getpid(), (uint64_t)(up_ns / NS_PER_S));
	fputs("incarnation ", out);
	for (unsigned i = 0; i < sizeof server->incarnation; i++)
		fprintf(out, "%02x", server->incarnation[i]);
	fputc('\n', out);
	for (unsigned i = 0; i < server->listeners.count; i++)
		fprintf(out, "listen.%u %s\n", i,
			net_addr_format(&server->listeners.at[i].addr).text);
	fprintf(out, "state %s\n", release_state_name(&server->sessions));
	if (config->zone[0])
		fprintf(out, "zone %s\n", config->zone);
	fprintf(out, "grace_s %u\n", config->grace_s);
	fprintf(out, "transports %s\n",
		transports_names(server->links.open, ",", names));
}

static void put_memory(struct server *server, FILE *out)
{
	struct slab_figures slabs = slab_pool_figures(&server->pool);

	fprintf(out, "memory_bytes %" PRIu64 "\nslab_bytes %" PRIu64 "\n",
		server->config->memory_bytes, server->pool.slab_bytes);
	fprintf(out, "slabs_total %u\nslabs_used %u\nslabs_stock %u\n",
		slabs.total, slabs.used, slabs.stock);
	fprintf(out, "free_bytes %" PRIu64 "\nrss_bytes %" PRIu64 "\n",
		slabs.free_bytes, memory_rss_bytes());
}

static void put_session(const struct session *s, unsigned n, FILE *out)
{
	fprintf(out, "session.%u.id %u\n", n, s->owner.key);
	fprintf(out, "session.%u.name %s\n", n, s->name);
	if (*session_identity(s))
		fprintf(out, "session.%u.identity %s\n", n,
			session_identity(s));
	fprintf(out, "session.%u.peer %s\n", n, peer_name_address(&s->peer));
	fprintf(out, "session.%u.state %s\n", n, session_state_name(s->state));
	fprintf(out, "session.%u.state_s %" PRIu64 "\n", n,
		(uint64_t)((clock_now_ns() - s->since_ns) / NS_PER_S));
	if (s->release_slabs == WIRE_RELEASE_ALL)
		fprintf(out, "session.%u.release_slabs all\n", n);
	else
		fprintf(out, "session.%u.release_slabs %u\n", n,
			s->release_slabs);
	fprintf(out, "session.%u.transport %s\n", n, s->links.ops->name);
	fprintf(out, "session.%u.size_bytes %" PRIu64 "\n", n,
		s->owner.size_bytes);
	fprintf(out, "session.%u.slabs %u\n", n, s->owner.slab_count);
	fprintf(out, "session.%u.slabs_held %u\n", n, s->owner.held_count);
	fprintf(out, "session.%u.slabs_spare %u\n", n, s->owner.spare ? 1 : 0);
	fprintf(out, "session.%u.lanes %u\n", n, s->links.count);
}

static void put_sessions(const struct sessions *sessions, FILE *out)
{
	const struct session *session;
	unsigned lanes = 0;
	unsigned n = 0;

	fprintf(out, "sessions %u\n", sessions->count);
	TAILQ_FOREACH(session, &sessions->list, entry)
	{
		lanes += session->links.count;
		put_session(session, n++, out);
	}
	fprintf(out, "lanes %u\n", lanes);
}

static void put_limit(FILE *out, unsigned n, const char *key, uint64_t limit,
		      uint64_t none)
{
	if (limit == none)
		fprintf(out, "tenant.%u.%s none\n", n, key);
	else
		fprintf(out, "tenant.%u.%s %" PRIu64 "\n", n, key, limit);
}

static void put_tenant(const struct tenant *t, unsigned n, FILE *out)
{
	const struct tenant_limits *limits = &t->limits;

	fprintf(out, "tenant.%u.name %s\n", n, t->name);
	put_limit(out, n, "memory_bytes", limits->memory_bytes,
		  TENANT_ANY_BYTES);
	fprintf(out, "tenant.%u.guaranteed_bytes %" PRIu64 "\n", n,
		limits->guaranteed_bytes);
	fprintf(out, "tenant.%u.used_bytes %" PRIu64 "\n", n,
		t->slabs * t->tenants->pool->slab_bytes);
	put_limit(out, n, "sessions_max", limits->sessions, TENANT_ANY);
	fprintf(out, "tenant.%u.sessions %u\n", n, t->sessions);
	put_limit(out, n, "lanes_max", limits->lanes, TENANT_ANY);
	fprintf(out, "tenant.%u.lanes %u\n", n, t->lanes);
	fprintf(out, "tenant.%u.weight %u\n", n, limits->weight);
}

static void put_tenants(const struct tenants *tenants, FILE *out)
{
	const struct tenant *tenant;
	unsigned n = 0;

	TAILQ_FOREACH(tenant, &tenants->list, entry)
	{
		put_tenant(tenant, n++, out);
	}
}

static uint64_t cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) *
		       1000000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static bool any_one_sided(const struct links *links)
{
	const struct link_ops *ops;

	for (size_t i = 0; (ops = transport_at(i)); i++) {
		if (links->open & ops->wire_bit && ops->one_sided)
			return true;
	}
	return false;
}

static void put_work(const struct server *server, FILE *out)
{
	const struct links *links = &server->links;
	const struct controls *controls = &server->controls;
	struct data_figures data = data_loops_figures(&links->data);

	fprintf(out, "reads %" PRIu64 "\nwrites %" PRIu64 "\n", data.reads,
		data.writes);
	fprintf(out, "read_bytes %" PRIu64 "\nwrite_bytes %" PRIu64 "\n",
		data.read_bytes, data.write_bytes);
	if (any_one_sided(links)) /* the figures above are without these */
		fputs("rdma_one_sided yes\n", out);
	fprintf(out, "errors %" PRIu64 "\nconnections_refused %" PRIu64 "\n",
		controls->errors + links->errors + data.errors,
		controls->refused + links->refused);
	fprintf(out, "cpu_us %" PRIu64 "\n", cpu_us());
}

static void put_status(struct server *server, FILE *out)
{
	put_server(server, out);
	put_memory(server, out);
	put_sessions(&server->sessions, out);
	put_tenants(&server->tenants, out);
	put_work(server, out);
}

/* --- commands, on the main loop --- */

static void put_drain(struct server *server, FILE *out)
{
	struct release_held held = release_held(&server->sessions);

	fprintf(out, "state %s\nslabs %u\nsessions %u\nsessions_away %u\n",
		release_state_name(&server->sessions), held.slabs,
		held.sessions, held.away);
}

static void drain(struct server *server, FILE *out)
{
	if (server->sessions.drain == RELEASE_SERVING &&
	    !server->sessions.stopping) {
		log_notice(
			"draining, as asked over the control socket: clients "
			"have to move %u slabs away",
			release_held(&server->sessions).slabs);
		release_drain(&server->sessions, RELEASE_DRAINING);
	}
	put_drain(server, out);
}

static void undrain(struct server *server, FILE *out)
{
	if (server->sessions.drain == RELEASE_LEAVING ||
	    server->sessions.stopping) {
		fputs("error the server was told to end, and that cannot be "
		      "undone\n",
		      out);
		return;
	}
	if (server->sessions.drain == RELEASE_DRAINING) {
		log_notice("serving again, as asked over the control socket");
		release_drain(&server->sessions, RELEASE_SERVING);
	}
	put_drain(server, out);
}

static const struct {
	const char *word;
	void (*fill)(struct server *server, FILE *out);
} commands[] = { { "status", put_status },
		 { "drain", drain },
		 { "undrain", undrain } };

#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void fill_in(struct mail *mail)
{
	struct status *status = container_of(mail, struct status, mail);
	FILE *out;

	pthread_mutex_lock(&status->lock);
	out = open_memstream(&status->text, &status->text_bytes);
	if (out) {
		status->fill(status->server, out);
		if (fclose(out) != 0) {
			free(status->text);
			status->text = NULL;
		}
	}
	status->answered = true;
	pthread_cond_signal(&status->change);
	pthread_mutex_unlock(&status->lock);
}

/* --- the status thread --- */

static bool answer(const char *command, FILE *out, void *arg)
{
	struct status *status = arg;
	size_t i = 0;

	while (i < N_COMMANDS && strcmp(command, commands[i].word) != 0)
		i++;
	if (i == N_COMMANDS)
		return false;
	pthread_mutex_lock(&status->lock);
	status->fill = commands[i].fill;
	status->answered = false;
	status->text = NULL;
	if (!status->closed) {
		mailbox_post(&status->server->box, &status->mail);
		while (!status->answered && !status->closed)
			pthread_cond_wait(&status->change, &status->lock);
	}
	if (status->answered && status->text)
		fputs(status->text, out);
	else
		fputs("error the server is stopping or out of memory\n", out);
	free(status->text);
	status->text = NULL;
	pthread_mutex_unlock(&status->lock);
	return true;
}

static void *status_thread(void *arg)
{
	struct status *status = arg;
	const struct ctlsock_server server = {
		.listen_fd = status->listen_fd,
		.stop_fd = status->stop_fd,
		.answer = answer,
		.arg = status,
	};

	ctlsock_serve(&server);
	return NULL;
}

static void status_free(struct status *status)
{
	if (status->listen_fd >= 0) {
		close(status->listen_fd);
		unlink(status->server->config->control);
	}
	if (status->stop_fd >= 0)
		close(status->stop_fd);
	pthread_cond_destroy(&status->change);
	pthread_mutex_destroy(&status->lock);
	free(status);
}

int status_start(struct server *server, struct error *why)
{
	struct status *status = calloc(1, sizeof *status);
	struct error detail;
	int err;

	if (!status) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	status->server = server;
	status->mail.deliver = fill_in;
	pthread_mutex_init(&status->lock, NULL);
	pthread_cond_init(&status->change, NULL);
	status->stop_fd = eventfd(0, EFD_CLOEXEC);
	status->listen_fd = net_listen_unix(server->config->control, &detail);
	if (status->listen_fd < 0) {
		err = status->listen_fd;
		error_set(why, "--control=%.100s: %.140s",
			  server->config->control, detail.text);
		status_free(status);
		return err;
	}
	err = status->stop_fd < 0 ? errno
				  : pthread_create(&status->thread, NULL,
						   status_thread, status);
	if (err) {
		error_set(why, "cannot start a thread: %s", strerror(err));
		status_free(status);
		return -err;
	}
	pthread_setname_np(status->thread, "status");
	server->status = status;
	return 0;
}

void status_stop(struct server *server)
{
	struct status *status = server->status;

	if (!status)
		return;
	pthread_mutex_lock(&status->lock);
	status->closed = true;
	pthread_cond_signal(&status->change);
	pthread_mutex_unlock(&status->lock);
	eventfd_write(status->stop_fd, 1);
	pthread_join(status->thread, NULL);
	/* The mail of a question that came too late to be answered. */
	mailbox_deliver(&server->box);
	free(status->text);
	server->status = NULL;
	status_free(status);
}
