#include "web.h"

#include <errno.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "page.h"
#include "promtext.h"

static bool write_metrics(FILE *out, void *arg)
{
	const struct web *web = arg;

	metrics_write(web->engine, web->pool, web->safety, web->start_time_ns,
		      out);
	return true;
}

static const struct httpd_page pages[] = {
	{ .path = "/", .type = PAGE_TYPE, .text = page_html },
	{ .path = "/metrics", .type = PROMTEXT_TYPE, .write = write_metrics },
};

#define PAGES (sizeof pages / sizeof pages[0])

int web_listen(struct web *web, const struct net_name *name, struct error *why)
{
	*web = (struct web){ .httpd = NULL };
	return httpd_listen(name, &web->socket, why);
}

uint64_t web_memory_bytes(uint32_t n_servers)
{
	return httpd_memory_bytes(metrics_bytes(n_servers));
}

int web_start(struct web *web, const struct engine *engine,
	      struct poolwatch *pool, const struct safety *safety,
	      struct error *why)
{
	const struct httpd_config config = {
		.pages = pages,
		.n_pages = PAGES,
		.arg = web,
		.page_bytes = metrics_bytes(engine->n_servers),
	};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	web->start_time_ns =
		(uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	web->engine = engine;
	web->pool = pool;
	web->safety = safety;
	web->httpd = httpd_start(&web->socket, &config, why);
	if (!web->httpd)
		return -EIO;
	log_notice("figures at http://%s/, for Prometheus at /metrics",
		   net_addr_format(&web->socket.addr).text);
	return 0;
}

void web_stop(struct web *web)
{
	httpd_stop(web->httpd);
	web->httpd = NULL;
	httpd_close(&web->socket);
}
