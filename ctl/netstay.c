#include "netstay.h"

#include <fnmatch.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "error.h"
#include "net.h"
#include "sysfile.h"

#define INTERFACES_MAX 16

struct interfaces {
	char name[INTERFACES_MAX][IF_NAMESIZE];
	int n;
};

/* --- which interfaces lead to the servers --- */

/* The address that this machine has towards ADDRESS.  connect(2) of a datagram
 * socket sends nothing. */
static bool find_source(const char *address, struct net_addr *source)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM,
					.ai_flags = AI_NUMERICHOST |
						    AI_NUMERICSERV };
	struct addrinfo *found;
	struct net_name name;
	struct error ignored;
	bool is_found = false;
	int fd;

	if (!net_name_parse(address, 9, &name, &ignored) ||
	    getaddrinfo(name.host, "9", &hints, &found))
		return false;
	fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		is_found = !connect(fd, found->ai_addr, found->ai_addrlen) &&
			   net_local_addr(fd, source);
		close(fd);
	}
	freeaddrinfo(found);
	return is_found;
}

static bool has_address(const struct ifaddrs *interface,
			const struct net_addr *addr)
{
	struct net_addr own = { .length = addr->length };

	if (!interface->ifa_addr ||
	    interface->ifa_addr->sa_family != addr->storage.ss_family)
		return false;
	memcpy(&own.storage, interface->ifa_addr, addr->length);
	net_addr_set_port(&own, net_addr_port(addr));
	return net_addr_equal(&own, addr);
}

static void add_interface(struct interfaces *list, const char *name)
{
	for (int i = 0; i < list->n; i++) {
		if (!strcmp(list->name[i], name))
			return;
	}
	if (list->n < INTERFACES_MAX)
		snprintf(list->name[list->n++], IF_NAMESIZE, "%s", name);
}

static void find_interfaces(struct json_object *status, struct interfaces *list)
{
	size_t n = answer_count(status, "servers");
	struct ifaddrs *all;
	struct net_addr source;
	char address[300];

	list->n = 0;
	if (getifaddrs(&all))
		return;
	for (size_t i = 0; i < n; i++) {
		if (!answer_text(status,
				 answer_path("servers.%zu.address", i).text,
				 address, sizeof address) ||
		    !find_source(address, &source))
			continue;
		for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
			if (!(a->ifa_flags & IFF_LOOPBACK) &&
			    has_address(a, &source))
				add_interface(list, a->ifa_name);
		}
	}
	freeifaddrs(all);
}

/* --- ifupdown --- */

/* Whether a line of PATH begins with WORD and then has NAME, or a pattern for
 * it: interfaces(5). */
static bool lists_in(const char *path, const char *word, const char *name)
{
	FILE *f = fopen(path, "re");
	char line[512], *rest, *next;
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f)) {
		next = strtok_r(line, " \t\n", &rest);
		if (!next || strcmp(next, word) != 0)
			continue;
		while (!found && (next = strtok_r(NULL, " \t\n", &rest)))
			found = !fnmatch(next + (*next == '/'), name, 0);
	}
	if (f)
		fclose(f);
	return found;
}

static bool lists(const char *word, const char *name)
{
	struct sysfile_names names;
	char path[128];

	if (lists_in("/etc/network/interfaces", word, name))
		return true;
	sysfile_list(&names, "/etc/network/interfaces.d");
	for (int i = 0; i < names.n; i++) {
		snprintf(path, sizeof path, "/etc/network/interfaces.d/%s",
			 names.text[i]);
		if (lists_in(path, word, name))
			return true;
	}
	return false;
}

/* What ifupdown has brought up: a line "eth0=eth0" each. */
static bool is_up_by_ifupdown(const char *name)
{
	FILE *f = fopen("/run/network/ifstate", "re");
	char line[128];
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f)) {
		line[strcspn(line, "=\n")] = '\0';
		found = !strcmp(line, name);
	}
	if (f)
		fclose(f);
	return found;
}

/* networking.service takes down all but no-auto-down; what came by
 * allow-hotplug has a unit of its own, ifup@, which takes it down in any case.
 */
static void judge_ifupdown(const char *name, finding_tell *tell, void *arg)
{
	struct error what, action;

	if (!is_up_by_ifupdown(name) ||
	    (lists("no-auto-down", name) && !lists("allow-hotplug", name)))
		return;
	error_set(&what,
		  "ifupdown takes %s, which leads to a memory server, down "
		  "before the machine has ended what is swapped out",
		  name);
	error_set(&action,
		  "write auto %s and no-auto-down %s into "
		  "/etc/network/interfaces, and no allow-hotplug",
		  name, name);
	tell(arg, &(struct finding){ FINDING_NETWORK_ENDS, what.text,
				     action.text, false });
}

/* --- systemd-networkd --- */

/* Whether FILE sets KeepConfiguration= to what keeps a lease at networkd's end:
 * systemd.network(5). */
static bool keeps(const char *file)
{
	static const char key[] = "KeepConfiguration=";
	FILE *f = fopen(file, "re");
	char line[256];
	bool found = false;

	while (f && fgets(line, sizeof line, f)) {
		const char *value = line + sizeof key - 1;

		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, key, sizeof key - 1))
			found = strcmp(value, "no") != 0 &&
				strcmp(value, "static") != 0;
	}
	if (f)
		fclose(f);
	return found;
}

/* The files of an interface, as networkd tells them for networkctl(1): one by
 * NETWORK_FILE=, and drop-ins, in quotes. */
static bool networkd_keeps(unsigned index)
{
	char path[64], line[1024], *rest, *word;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof path, "/run/systemd/netif/links/%u", index);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f)) {
		if (strncmp(line, "NETWORK_FILE", 12) != 0)
			continue;
		strtok_r(line, "=", &rest);
		while ((word = strtok_r(NULL, " \"\n", &rest)))
			found = keeps(word) || found;
	}
	if (f)
		fclose(f);
	return found;
}

/* networkd leaves addresses that its files name, and gives a lease of DHCP
 * back when it ends. */
static void judge_networkd(const char *name, finding_tell *tell, void *arg)
{
	unsigned index = if_nametoindex(name);
	struct error what, action;
	char path[64];

	snprintf(path, sizeof path, "/run/systemd/netif/leases/%u", index);
	if (!index || access(path, F_OK) < 0 || networkd_keeps(index))
		return;
	error_set(&what,
		  "systemd-networkd gives back the address of %s, which leads "
		  "to a memory server, before the machine has ended what is "
		  "swapped out",
		  name);
	error_set(&action,
		  "set KeepConfiguration=dhcp-on-stop for %s in its .network "
		  "file",
		  name);
	tell(arg, &(struct finding){ FINDING_NETWORK_ENDS, what.text,
				     action.text, false });
}

void netstay_judge(struct json_object *status, finding_tell *tell, void *arg)
{
	struct interfaces list;

	if (!status)
		return;
	find_interfaces(status, &list);
	for (int i = 0; i < list.n; i++) {
		judge_ifupdown(list.name[i], tell, arg);
		judge_networkd(list.name[i], tell, arg);
	}
}
