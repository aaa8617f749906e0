#include "web.h"

#include <errno.h>
#include <stdlib.h>

#include "ask.h"
#include "httpd.h"
#include "metrics.h"
#include "page.h"
#include "promtext.h"

struct web {
	struct ask ask;
	struct httpd_socket socket;
	struct httpd *httpd;
};

static bool write_metrics(FILE *out, void *arg)
{
	struct web *web = arg;

	return ask_main_loop(&web->ask, metrics_write, out);
}

static const struct httpd_page pages[] = {
	{ .path = "/", .type = PAGE_TYPE, .text = page_html },
	{ .path = "/metrics", .type = PROMTEXT_TYPE, .write = write_metrics },
};

#define PAGES (sizeof pages / sizeof pages[0])

static void web_free(struct web *web)
{
	ask_free(&web->ask);
	httpd_close(&web->socket);
	free(web);
}

int web_start(struct server *server, struct error *why)
{
	struct web *web = calloc(1, sizeof *web);
	const struct httpd_config config = {
		.pages = pages,
		.n_pages = PAGES,
		.arg = web,
	};
	struct error detail;
	int rc;

	if (!web) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	ask_open(&web->ask, server);
	rc = httpd_listen(&server->config->metrics, &web->socket, &detail);
	if (!rc) {
		web->httpd = httpd_start(&web->socket, &config, &detail);
		rc = web->httpd ? 0 : -EIO;
	}
	if (rc) {
		error_set(why, "--metrics=%s: %.150s",
			  net_name_format(&server->config->metrics).text,
			  detail.text);
		web_free(web);
		return rc;
	}
	server->web = web;
	return 0;
}

const struct net_addr *web_addr(const struct server *server)
{
	return server->web ? &server->web->socket.addr : NULL;
}

void web_stop(struct server *server)
{
	struct web *web = server->web;

	if (!web)
		return;
	ask_close(&web->ask);
	httpd_stop(web->httpd);
	server->web = NULL;
	web_free(web);
}
