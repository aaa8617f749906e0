#include "admission.h"

#include <netinet/in.h>
#include <string.h>

/* The part of an address that tells peers apart: 4, 8 or 16 bytes, or none. */
struct identity {
	const uint8_t *bytes;
	size_t size;
};

/* A peer with an IPv6 network of 64 bits has all addresses in it.  All
 * link-local addresses share one network, and each belongs to another machine.
 */
static struct identity identity_of(const struct net_addr *addr)
{
	const struct sockaddr_in6 *v6 =
		(const struct sockaddr_in6 *)&addr->storage;
	const struct sockaddr_in *v4 =
		(const struct sockaddr_in *)&addr->storage;
	struct identity id = { NULL, 0 };

	if (addr->storage.ss_family == AF_INET) {
		id.bytes = (const uint8_t *)&v4->sin_addr;
		id.size = 4;
	} else if (addr->storage.ss_family == AF_INET6) {
		id.bytes = v6->sin6_addr.s6_addr;
		id.size = IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) ? 16 : 8;
		if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
			id.bytes += 12;
			id.size = 4;
		}
	}
	return id;
}

bool admission_same_address(const struct net_addr *a, const struct net_addr *b)
{
	struct identity id_a = identity_of(a);
	struct identity id_b = identity_of(b);

	return id_a.size == id_b.size &&
	       (!id_a.size || !memcmp(id_a.bytes, id_b.bytes, id_a.size));
}

void admission_init(struct admission *admission)
{
	for (int i = 0; i < 2; i++) {
		TAILQ_INIT(&admission->newcomers[i]);
		admission->count[i] = 0;
	}
}

static void name_limit(unsigned most, const char *whose, struct error *why)
{
	error_set(why,
		  "to make room for another connection: the limit of %u "
		  "without a session, %s, is reached",
		  most, whose);
}

/* Newcomers of which one may have to go: how many have shown so much of a key
 * or less, and the oldest of these. */
struct group {
	unsigned count[N_PROOFS];
	struct newcomer *oldest[N_PROOFS];
};

static void count_in(struct group *group, struct newcomer *newcomer)
{
	for (int i = newcomer->proof; i < N_PROOFS; i++) {
		if (!group->count[i]++)
			group->oldest[i] = newcomer;
	}
}

static unsigned size_of(const struct group *group)
{
	return group->count[N_PROOFS - 1];
}

/* The oldest of those that have shown least, if they are half of all: newcomers
 * with a key do not keep all others out either. */
static struct newcomer *choose(const struct group *group)
{
	int i = 0;

	while (group->count[i] < size_of(group) - size_of(group) / 2)
		i++;
	return group->oldest[i];
}

/* The newcomer that has to go before another from ADDR comes, and WHY; or NULL.
 */
static struct newcomer *in_the_way(const struct newcomer_list *newcomers,
				   const struct net_addr *addr,
				   struct error *why)
{
	struct group all = { .count = { 0 } }, there = { .count = { 0 } };
	struct newcomer *newcomer;

	TAILQ_FOREACH(newcomer, newcomers, entry)
	{
		count_in(&all, newcomer);
		if (admission_same_address(&newcomer->addr, addr))
			count_in(&there, newcomer);
	}
	if (size_of(&there) >= ADMISSION_ADDRESS_MAX) {
		name_limit(ADMISSION_ADDRESS_MAX, "of one address", why);
		return choose(&there);
	}
	if (size_of(&all) < ADMISSION_MAX)
		return NULL;
	name_limit(ADMISSION_MAX, "of all addresses together", why);
	return choose(&all);
}

struct newcomer *admission_enter(struct admission *admission,
				 struct newcomer *newcomer,
				 const struct net_addr *addr, bool known,
				 struct error *why)
{
	struct newcomer *goes =
		in_the_way(&admission->newcomers[known], addr, why);

	if (goes)
		admission_leave(admission, goes);
	newcomer->addr = *addr;
	newcomer->known = known;
	newcomer->proof = PROOF_NONE;
	newcomer->counted = true;
	TAILQ_INSERT_TAIL(&admission->newcomers[known], newcomer, entry);
	admission->count[known]++;
	return goes;
}

void admission_prove(struct newcomer *newcomer, enum proof proof)
{
	newcomer->proof = proof;
}

void admission_leave(struct admission *admission, struct newcomer *newcomer)
{
	if (!newcomer->counted)
		return;
	newcomer->counted = false;
	TAILQ_REMOVE(&admission->newcomers[newcomer->known], newcomer, entry);
	admission->count[newcomer->known]--;
}

struct newcomer *admission_oldest(struct admission *admission)
{
	for (int known = 0; known < 2; known++) {
		struct newcomer *oldest =
			TAILQ_FIRST(&admission->newcomers[known]);

		if (oldest) {
			admission_leave(admission, oldest);
			return oldest;
		}
	}
	return NULL;
}
