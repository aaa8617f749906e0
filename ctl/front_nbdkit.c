/* nbdkit with the plugin, behind the kernel's nbd device: a thread for each
 * request. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "concurrency.h"
#include "front.h"

/* The plugin below the same prefix as this program: PREFIX/sbin/rswapctl,
 * PREFIX/lib/nbdkit/plugins. nbdkit itself does not look into every prefix.
 * NULL: no plugin is there, so it is in nbdkit's own directory. */
static const char *plugin_in_prefix(void)
{
	static const char below[] = "lib/nbdkit/plugins/nbdkit-rswap-plugin.so";
	static char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	for (int up = 0; up < 2 && n > 0; up++) {
		while (n > 0 && path[--n] != '/')
			;
	}
	if (n < 0 || (size_t)n + 1 + sizeof below > sizeof path)
		return NULL;
	memcpy(path + n, "/", 1);
	memcpy(path + n + 1, below, sizeof below);
	return access(path, R_OK) == 0 ? path : NULL;
}

const char *front_default_plugin(void)
{
	const char *plugin = getenv("RSWAP_PLUGIN");

	if (plugin && *plugin)
		return plugin;
	plugin = plugin_in_prefix();
	return plugin ? plugin : "rswap";
}

/* Threads of each connection. */
static unsigned threads_of(const struct front_order *order)
{
	unsigned requests =
		order->lanes ? order->lanes : concurrency_requests_here();

	return concurrency_threads(requests, order->link->connections);
}

static void add_words(const struct front_order *order, struct argvec *args)
{
	unsigned threads = threads_of(order);

	/* in the foreground: nbdkit would fork to go into the background, and a
	 * child does not inherit locked memory */
	argvec_add(args, "-f");
	argvec_add(args, "-U");
	argvec_add(args, "%s", order->link->socket);
	argvec_add(args, "--pidfile");
	argvec_add(args, "%s", order->link->pidfile);
	argvec_add(args, "-t");
	argvec_add(args, "%u", threads);
	argvec_add(args, "%s", order->plugin);
	/* The plugin knows how many threads a connection has, and not how many
	 * connections there will be. */
	if (!order->lanes)
		argvec_add(
			args, "lanes=%u",
			concurrency_lanes(threads * order->link->connections));
}

const struct front front_nbdkit = {
	.name = "nbdkit",
	.program = "nbdkit",
	.what = "nbdkit with the plugin",
	.driver = &driver_nbd,
	.add_words = add_words,
};
