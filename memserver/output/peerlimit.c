#include "peerlimit.h"

#include <arpa/inet.h>
#include <string.h>

#include "clock.h"

/* From a text like "10.0.0.1:7" or "[fe80::1]:7": the address without the port.
 * One machine may have a whole IPv6 network of 64 bits, so for IPv6 it is the
 * network.  For any other text it is the first 16 bytes. */
static void key_of_address(const struct peer_name *peer, uint8_t key[16])
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
	if (inet_pton(AF_INET6, host, &v6) != 1)
		memcpy(key, host, length < 16 ? length : 16);
	else
		memcpy(key, &v6, IN6_IS_ADDR_LINKLOCAL(&v6) ? 16 : 8);
}

/* FNV-1a.  Two identities of one hash share a limit, and nothing worse. */
static void key_of_identity(const char *identity, size_t length,
			    uint8_t key[16])
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)identity[i]) * UINT64_C(0x100000001b3);
	memcpy(key, &hash, sizeof hash);
}

static void identify(const struct peer_name *peer, uint8_t key[16])
{
	size_t length = peer_name_identity(peer);

	memset(key, 0, 16);
	if (length)
		key_of_identity(peer->text, length, key);
	else
		key_of_address(peer, key);
}

/* The entry of KEY, or an entry that it may take.  NULL when all are in
 * use. */
static struct peerlimit_entry *find(struct peerlimit *table,
				    const uint8_t key[16], uint64_t now_ns)
{
	struct peerlimit_entry *oldest = &table->entries[0];

	for (size_t i = 0; i < PEERLIMIT_PEERS; i++) {
		struct peerlimit_entry *entry = &table->entries[i];

		if (entry->used_ns && !memcmp(entry->key, key, 16))
			return entry;
		if (entry->used_ns < oldest->used_ns)
			oldest = entry;
	}
	if (oldest->used_ns &&
	    now_ns < oldest->used_ns + PEERLIMIT_QUIET_S * NS_PER_S)
		return NULL;
	/* No thread has used this limit for seconds. */
	memcpy(oldest->key, key, 16);
	oldest->limit =
		(struct log_limit){ .lines = table->lines, .period_ms = 1000 };
	return oldest;
}

struct log_limit *peerlimit_of(struct peerlimit *table,
			       const struct peer_name *peer)
{
	struct peerlimit_entry *entry;
	uint64_t now_ns = clock_now_ns();
	uint8_t key[16];

	identify(peer, key);
	pthread_mutex_lock(&table->lock);
	entry = find(table, key, now_ns);
	if (entry)
		entry->used_ns = now_ns;
	pthread_mutex_unlock(&table->lock);
	return entry ? &entry->limit : &table->others;
}
