#include "httpd.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "helper.h"
#include "memout.h"
#include "size.h"

#define REQUEST_NS (HTTPD_REQUEST_S * NS_PER_S)
/* After each turn of the thread it sleeps for so many times the turn, but no
 * longer than that. */
#define REST_TIMES 3
#define REST_NS	   (200 * NS_PER_MS)
/* How long no client is accepted if there is no descriptor for it. */
#define PAUSE_NS (200 * NS_PER_MS)
/* Without a deadline to wait for. */
#define LONG_NS (3600 * NS_PER_S)
/* What libmicrohttpd allocates for a connection besides its pool. */
#define CONNECTION_BYTES 4096u

struct answer {
	uint64_t since_ns; /* 0: free */
	char *text;	   /* page_bytes */
};

struct place {
	int fd;		   /* libmicrohttpd's; -1: free */
	uint64_t since_ns; /* when it was accepted */
	bool cut;	   /* libmicrohttpd will see its end */
	bool answers;	   /* an answer is under way */
};

/* The thread's, but for stop_fd. */
struct httpd {
	struct httpd_config config;
	int listen_fd;
	int stop_fd; /* an eventfd */
	int epoll_fd;
	pthread_t thread;
	struct MHD_Daemon *daemon;
	struct place places[HTTPD_CONNECTIONS];
	struct answer answers[HTTPD_ANSWERS];
	uint64_t paused_until_ns;
};

/* --- addresses --- */

bool httpd_name_parse(const char *text, struct net_name *name)
{
	struct net_name other;
	struct error ignored;
	uint64_t port;

	if (number_parse(text, 0, UINT16_MAX, &port)) {
		*name = (struct net_name){ .host = "127.0.0.1",
					   .port = (uint16_t)port };
		return true;
	}
	/* The port is not the default of either. */
	return net_name_parse(text, 1, name, &ignored) &&
	       net_name_parse(text, 2, &other, &ignored) &&
	       name->port == other.port;
}

int httpd_listen(const struct net_name *name, struct httpd_socket *socket,
		 struct error *why)
{
	struct net_addrs addrs;
	int rc;

	*socket = (struct httpd_socket){ .open = false };
	rc = net_resolve(name, &addrs, why);
	if (rc)
		return rc;
	rc = -EADDRNOTAVAIL;
	for (unsigned i = 0; i < addrs.n && rc < 0; i++)
		rc = net_listen(&addrs.addr[i], why);
	if (rc < 0)
		return rc;
	socket->open = true;
	socket->fd = rc;
	net_local_addr(socket->fd, &socket->addr);
	return 0;
}

void httpd_close(struct httpd_socket *socket)
{
	if (socket->open)
		close(socket->fd);
	socket->open = false;
}

/* --- connections --- */

static struct place *place_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static struct place *free_place(struct httpd *server)
{
	for (size_t i = 0; i < HTTPD_CONNECTIONS; i++) {
		if (server->places[i].fd < 0)
			return &server->places[i];
	}
	return NULL;
}

/* A connection has begun or ended. */
static void notify(void *arg, struct MHD_Connection *connection,
		   void **socket_context,
		   enum MHD_ConnectionNotificationCode to)
{
	struct httpd *server = arg;
	const union MHD_ConnectionInfo *info;
	struct place *place = *socket_context;

	if (to == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (place)
			place->fd = -1;
		return;
	}
	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_CONNECTION_FD);
	place = free_place(server);
	if (place)
		*place = (struct place){ .fd = info->connect_fd,
					 .since_ns = clock_now_ns() };
	*socket_context = place;
}

/* libmicrohttpd sees that the client is gone, and closes the descriptor. */
static void cut(struct place *place)
{
	place->cut = true;
	shutdown(place->fd, SHUT_RDWR);
}

/* The oldest connection; of those alone that have an answer, if WITH_ANSWER. */
static struct place *oldest(struct httpd *server, bool with_answer)
{
	struct place *found = NULL;

	for (size_t i = 0; i < HTTPD_CONNECTIONS; i++) {
		struct place *p = &server->places[i];

		if (p->fd >= 0 && !p->cut && (p->answers || !with_answer) &&
		    (!found || p->since_ns < found->since_ns))
			found = p;
	}
	return found;
}

static void cut_late(struct httpd *server)
{
	for (size_t i = 0; i < HTTPD_CONNECTIONS; i++) {
		struct place *p = &server->places[i];

		if (p->fd >= 0 && !p->cut &&
		    !clock_left_ns(p->since_ns + REQUEST_NS))
			cut(p);
	}
}

static void take_client(struct httpd *server)
{
	struct sockaddr_storage addr;
	socklen_t length = sizeof addr;
	int fd;

	if (!free_place(server)) {
		/* It is accepted in a later turn. */
		struct place *place = oldest(server, false);

		if (place)
			cut(place);
		return;
	}
	fd = accept4(server->listen_fd, (struct sockaddr *)&addr, &length,
		     SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) /* closes it on failure */
		MHD_add_connection(server->daemon, fd, (struct sockaddr *)&addr,
				   length);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		 errno == ENOMEM)
		server->paused_until_ns = clock_now_ns() + PAUSE_NS;
}

/* --- answers --- */

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status,
			     const char *type, struct MHD_Response *response)
{
	enum MHD_Result rc;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
				"no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(
		response, "Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; "
		"script-src 'unsafe-inline'; img-src data:; "
		"connect-src 'self'; base-uri 'none'; form-action 'none'; "
		"frame-ancestors 'none'");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
					"GET, HEAD");
	rc = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return rc;
}

/* TEXT is constant. */
static enum MHD_Result reply_text(struct MHD_Connection *connection,
				  unsigned status, const char *type,
				  const char *text)
{
	return reply(connection, status, type,
		     MHD_create_response_from_buffer(strlen(text),
						     (void *)(uintptr_t)text,
						     MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result refuse(struct MHD_Connection *connection,
			      unsigned status, const char *text)
{
	return reply_text(connection, status, "text/plain; charset=utf-8",
			  text);
}

struct writing {
	const struct httpd *server;
	const struct httpd_page *page;
	bool failed;
};

static void write_page(FILE *out, void *arg)
{
	struct writing *w = arg;

	w->failed = !w->page->write(out, w->server->config.arg);
}

static void free_answer(void *arg)
{
	((struct answer *)arg)->since_ns = 0;
}

static struct answer *free_buffer(struct httpd *server)
{
	for (size_t i = 0; i < HTTPD_ANSWERS; i++) {
		if (!server->answers[i].since_ns)
			return &server->answers[i];
	}
	return NULL;
}

/* NULL: no page, no memory, or no room in the buffer. */
static struct MHD_Response *from_buffer(struct writing *w,
					struct answer *answer)
{
	bool full;
	size_t n = memout_fill(answer->text, w->server->config.page_bytes,
			       write_page, w, &full);
	struct MHD_Response *response = NULL;

	if (n && !w->failed)
		response =
			MHD_create_response_from_buffer_with_free_callback_cls(
				n, answer->text, free_answer, answer);
	if (response)
		answer->since_ns = clock_now_ns();
	return response;
}

static struct MHD_Response *allocated(struct writing *w)
{
	size_t n;
	char *text = memout_allocate(write_page, w, &n);
	struct MHD_Response *response = NULL;

	if (text && !w->failed)
		response = MHD_create_response_from_buffer(
			n, text, MHD_RESPMEM_MUST_FREE);
	if (!response)
		free(text);
	return response;
}

static enum MHD_Result reply_page(struct httpd *server,
				  struct MHD_Connection *connection,
				  const struct httpd_page *page)
{
	struct writing w = { .server = server, .page = page };
	struct answer *answer = free_buffer(server);
	struct MHD_Response *response;

	if (page->text)
		return reply_text(connection, MHD_HTTP_OK, page->type,
				  page->text);
	if (!server->config.page_bytes)
		response = allocated(&w);
	else
		response = answer ? from_buffer(&w, answer) : NULL;
	if (response)
		return reply(connection, MHD_HTTP_OK, page->type, response);
	return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
		      "This page cannot be had now.\n");
}

/* Called when the headers of a request are there. */
static enum MHD_Result handle(void *arg, struct MHD_Connection *connection,
			      const char *url, const char *method,
			      const char *version, const char *body,
			      size_t *body_bytes, void **context)
{
	struct httpd *server = arg;
	struct place *place = place_of(connection);

	(void)version;
	(void)body;
	(void)body_bytes;
	(void)context;
	if (place)
		place->answers = true;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
	    strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
			      "There is only GET and HEAD.\n");
	for (unsigned i = 0; i < server->config.n_pages; i++) {
		if (!strcmp(url, server->config.pages[i].path))
			return reply_page(server, connection,
					  &server->config.pages[i]);
	}
	return refuse(connection, MHD_HTTP_NOT_FOUND,
		      "There is no such page.\n");
}

/* --- the thread --- */

/* Until when nothing is to be done, if no descriptor becomes ready. */
static uint64_t next_ns(struct httpd *server)
{
	uint64_t until_ns = clock_now_ns() + LONG_NS;
	MHD_UNSIGNED_LONG_LONG ms;

	for (size_t i = 0; i < HTTPD_CONNECTIONS; i++) {
		const struct place *p = &server->places[i];

		if (p->fd >= 0 && !p->cut &&
		    p->since_ns + REQUEST_NS < until_ns)
			until_ns = p->since_ns + REQUEST_NS;
	}
	if (server->paused_until_ns && server->paused_until_ns < until_ns)
		until_ns = server->paused_until_ns;
	if (MHD_get_timeout(server->daemon, &ms) == MHD_YES &&
	    clock_now_ns() + ms * NS_PER_MS < until_ns)
		until_ns = clock_now_ns() + ms * NS_PER_MS;
	return until_ns;
}

/* For the next request: of the answers that their clients do not take, the
 * oldest is given up. */
static void keep_a_buffer(struct httpd *server)
{
	for (int i = 0; i < HTTPD_ANSWERS; i++) {
		struct place *place;

		if (!server->config.page_bytes || free_buffer(server))
			return;
		place = oldest(server, true);
		if (place)
			cut(place);
		MHD_run(server->daemon);
	}
}

static void turn(struct httpd *server, const struct pollfd *fds)
{
	uint64_t began_ns = clock_now_ns(), took_ns;

	if (server->paused_until_ns && !clock_left_ns(server->paused_until_ns))
		server->paused_until_ns = 0;
	if (fds[1].revents)
		take_client(server);
	cut_late(server);
	MHD_run(server->daemon);
	keep_a_buffer(server);
	took_ns = REST_TIMES * (clock_now_ns() - began_ns);
	clock_sleep_ns(took_ns < REST_NS ? took_ns : REST_NS);
}

static void *httpd_main(void *arg)
{
	struct httpd *server = arg;
	struct pollfd fds[3] = { { .fd = server->stop_fd, .events = POLLIN },
				 { .fd = server->listen_fd, .events = POLLIN },
				 { .fd = server->epoll_fd, .events = POLLIN } };
	int rc;

	for (;;) {
		fds[1].fd = server->paused_until_ns ? -1 : server->listen_fd;
		fds[0].revents = fds[1].revents = fds[2].revents = 0;
		rc = net_poll(fds, 3, next_ns(server));
		if (rc && rc != -ETIMEDOUT)
			clock_sleep_ns(PAUSE_NS); /* and not again at once */
		if (fds[0].revents)
			return NULL;
		turn(server, fds);
	}
}

/* --- start and stop --- */

uint64_t httpd_memory_bytes(size_t page_bytes)
{
	return sizeof(struct httpd) + HTTPD_ANSWERS * (uint64_t)page_bytes +
	       HTTPD_CONNECTIONS * (HTTPD_POOL_BYTES + CONNECTION_BYTES);
}

static bool allocate_answers(struct httpd *server)
{
	for (size_t i = 0; i < HTTPD_ANSWERS; i++) {
		struct answer *answer = &server->answers[i];

		if (!server->config.page_bytes)
			continue;
		answer->text = malloc(server->config.page_bytes);
		if (!answer->text)
			return false;
	}
	return true;
}

static bool start_daemon(struct httpd *server)
{
	const union MHD_DaemonInfo *info;

	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, handle,
		server, MHD_OPTION_NOTIFY_CONNECTION, notify, server,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTPD_CONNECTIONS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTPD_POOL_BYTES,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	info = server->daemon ? MHD_get_daemon_info(server->daemon,
						    MHD_DAEMON_INFO_EPOLL_FD)
			      : NULL;
	if (!info)
		return false;
	server->epoll_fd = info->epoll_fd;
	return true;
}

static void release(struct httpd *server)
{
	if (server->daemon)
		MHD_stop_daemon(server->daemon);
	for (size_t i = 0; i < HTTPD_ANSWERS; i++)
		free(server->answers[i].text);
	if (server->stop_fd >= 0)
		close(server->stop_fd);
	free(server);
}

struct httpd *httpd_start(const struct httpd_socket *socket,
			  const struct httpd_config *config, struct error *why)
{
	struct httpd *server = calloc(1, sizeof *server);
	int rc;

	if (!server) {
		error_set(why, "out of memory");
		return NULL;
	}
	server->config = *config;
	server->listen_fd = socket->fd;
	for (size_t i = 0; i < HTTPD_CONNECTIONS; i++)
		server->places[i].fd = -1;
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (server->stop_fd < 0 || !allocate_answers(server) ||
	    !start_daemon(server)) {
		error_set(why, "cannot start libmicrohttpd: %s",
			  strerror(errno));
		release(server);
		return NULL;
	}
	rc = helper_start(&server->thread, "rswap-http", httpd_main, server);
	if (rc) {
		error_set(why, "cannot start a thread: %s", strerror(rc));
		release(server);
		return NULL;
	}
	return server;
}

void httpd_stop(struct httpd *server)
{
	if (!server)
		return;
	eventfd_write(server->stop_fd, 1);
	pthread_join(server->thread, NULL);
	release(server);
}
