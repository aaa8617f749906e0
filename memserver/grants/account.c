#include "account.h"

#include <inttypes.h>
#include <stddef.h>

/* WHY names the limit of ACCOUNT. */
static void name_limit(const struct account *account, enum limited what,
		       struct error *why)
{
	static const char *const names[N_LIMITED] = {
		[LIMITED_SESSIONS] = "sessions",
		[LIMITED_LANES] = "lanes",
		[LIMITED_FILES] = "file descriptors for lanes",
		[LIMITED_ASKED] = "unanswered ALLOCs",
		[LIMITED_SPARE] = "spare slabs",
		[LIMITED_HELD] = "freed slabs that lanes still use",
	};

	error_set(why, "the limit of %s is reached: %" PRIu64 " %s",
		  account->whose, account->most[what], names[what]);
}

/* The first account from ACCOUNT upwards that has no room for N more, or NULL.
 */
static const struct account *without_room(const struct account *account,
					  enum limited what, uint64_t n)
{
	for (; account; account = account->up) {
		uint64_t used = account->used[what];
		uint64_t most = account->most[what];

		if (used > most || n > most - used)
			return account;
	}
	return NULL;
}

bool account_take(struct account *account, enum limited what, uint64_t n,
		  struct error *why)
{
	const struct account *full = without_room(account, what, n);

	if (full) {
		name_limit(full, what, why);
		return false;
	}
	for (; account; account = account->up)
		account->used[what] += n;
	return true;
}

void account_give(struct account *account, enum limited what, uint64_t n)
{
	for (; account; account = account->up)
		account->used[what] -= n;
}

void account_count(struct account *account, enum limited what)
{
	for (; account; account = account->up)
		account->used[what]++;
}

bool account_is_full(const struct account *account, enum limited what,
		     struct error *why)
{
	const struct account *full = without_room(account, what, 1);

	if (full)
		name_limit(full, what, why);
	return full;
}
