#include "peerlimit.h"

#include <arpa/inet.h>
#include <string.h>

#include "clock.h"

/* The part that tells peers apart, from a text like "10.0.0.1:7" or
 * "[fe80::1]:7": the address without the port.  One machine may have a whole
 * IPv6 network of 64 bits, so for IPv6 it is the network.  For any other text
 * it is the first 16 bytes. */
static void identify(const struct net_text *peer, uint8_t address[16])
{
	char host[sizeof peer->text];
	const char *from = peer->text + (peer->text[0] == '[');
	const char *port = strrchr(peer->text, ':');
	size_t length = strcspn(from, "]%");
	struct in6_addr v6;

	if (*peer->text != '[' && port)
		length = (size_t)(port - from);
	memcpy(host, from, length);
	host[length] = '\0';
	memset(address, 0, 16);
	if (inet_pton(AF_INET6, host, &v6) != 1)
		memcpy(address, host, length < 16 ? length : 16);
	else
		memcpy(address, &v6, IN6_IS_ADDR_LINKLOCAL(&v6) ? 16 : 8);
}

/* The entry of ADDRESS, or an entry that it may take.  NULL when all are in
 * use. */
static struct peerlimit_entry *find(struct peerlimit *table,
				    const uint8_t address[16], uint64_t now_ns)
{
	struct peerlimit_entry *oldest = &table->entries[0];

	for (size_t i = 0; i < PEERLIMIT_ADDRESSES; i++) {
		struct peerlimit_entry *entry = &table->entries[i];

		if (entry->used_ns && !memcmp(entry->address, address, 16))
			return entry;
		if (entry->used_ns < oldest->used_ns)
			oldest = entry;
	}
	if (oldest->used_ns &&
	    now_ns < oldest->used_ns + PEERLIMIT_QUIET_S * NS_PER_S)
		return NULL;
	/* No thread has used this limit for seconds. */
	memcpy(oldest->address, address, 16);
	oldest->limit =
		(struct log_limit){ .lines = table->lines, .period_ms = 1000 };
	return oldest;
}

struct log_limit *peerlimit_of(struct peerlimit *table,
			       const struct net_text *peer)
{
	struct peerlimit_entry *entry;
	uint64_t now_ns = clock_now_ns();
	uint8_t address[16];

	identify(peer, address);
	pthread_mutex_lock(&table->lock);
	entry = find(table, address, now_ns);
	if (entry)
		entry->used_ns = now_ns;
	pthread_mutex_unlock(&table->lock);
	return entry ? &entry->limit : &table->others;
}
