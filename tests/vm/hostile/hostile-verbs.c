/* hostile-verbs HOST PSK-FILE RKEY...: a client of the memory server at HOST,
 * with the only key in PSK-FILE, that opens sessions of its own, and then tries
 * to reach over RDMA what is not its own:
 *
 *   - with each RKEY, which are other sessions' (hexadecimal, 0x...)
 *   - with the rkeys of another session whose bytes it knows, and with numbers
 *     around its own rkey, by READ, WRITE and atomic operations
 *   - with the rkey of a slab that it has freed, also after the next grant
 *   - beyond the ends of its own slab
 *   - through lanes that join with tokens that are not good
 *   - what an earlier session has left in a slab
 *
 * Each attempt has to fail, and the bytes of the other session have to stay as
 * they were.  Between the attempts its own accesses succeed, so that a failure
 * says something.  Exit status 0 when all is so. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "verbs_client.h"

#define PAGE 4096u
/* Numbers tried on each side of its own rkey. */
#define AROUND 16
/* Slabs that are filled and given back, for the next session to look at. */
#define LEFT_BEHIND 8
/* The program ends by then, whatever waits. */
#define LIMIT_S 1500

#define SECRET 0x5e
#define OWN    0x0a
#define NOISE  0xee

static const char *host;
static struct tls_context *tls;
static unsigned attempts;
static unsigned faults;

static struct verbs_client victim; /* whose bytes are known */
static struct lane victims_lane;
static struct wire_slab victims_slab;

static struct verbs_client thief;
static struct wire_slab own;

static void wrong(const char *what, const struct access *a, const char *how)
{
	printf("hostile-verbs: %s: op %d, rkey %#x, offset %#llx, %u bytes: "
	       "%s\n",
	       what, a->op, a->rkey, (unsigned long long)a->offset, a->bytes,
	       how);
	faults++;
}

/* --- accesses that have to succeed --- */

static void must(struct lane *lane, enum ibv_wr_opcode op, uint32_t rkey,
		 uint64_t offset, const char *what)
{
	const struct access a = { op, rkey, offset, PAGE };
	enum ibv_wc_status status = lane_do(lane, &a);

	if (status != IBV_WC_SUCCESS)
		die("%s: %s", what, ibv_wc_status_str(status));
}

static bool all_are(const uint8_t *bytes, size_t n, uint8_t value)
{
	return bytes[0] == value && !memcmp(bytes, bytes + 1, n - 1);
}

static void victim_is_whole(const char *after)
{
	memset(victims_lane.bytes, NOISE, PAGE);
	must(&victims_lane, IBV_WR_RDMA_READ, victims_slab.rkey, 0,
	     "the victim's READ");
	if (all_are(victims_lane.bytes, PAGE, SECRET))
		return;
	printf("hostile-verbs: %s, and the victim's page is another\n", after);
	faults++;
}

/* The thief's own slab, which shows that a lane and an rkey are enough. */
static void own_access_works(void)
{
	struct lane lane;

	lane_open(&lane, &thief);
	memset(lane.bytes, OWN, PAGE);
	must(&lane, IBV_WR_RDMA_WRITE, own.rkey, own.bytes - PAGE,
	     "a WRITE of the own slab");
	memset(lane.bytes, NOISE, PAGE);
	must(&lane, IBV_WR_RDMA_READ, own.rkey, own.bytes - PAGE,
	     "a READ of the own slab");
	if (!all_are(lane.bytes, PAGE, OWN))
		die("the own slab does not hold what was written");
	lane_close(&lane);
}

/* --- accesses that have to fail --- */

/* Through a lane of its own, as the first failure ends the lane. */
static void refused_access(const char *what, const struct access *a)
{
	enum ibv_wc_status status;
	struct lane lane;

	lane_open(&lane, &thief);
	memset(lane.bytes, NOISE, a->bytes);
	status = lane_do(&lane, a);
	if (status == IBV_WC_SUCCESS)
		wrong(what, a, "it succeeded");
	else if (status != IBV_WC_REM_ACCESS_ERR &&
		 (a->op != IBV_WR_ATOMIC_FETCH_AND_ADD ||
		  status != IBV_WC_REM_INV_REQ_ERR))
		wrong(what, a, ibv_wc_status_str(status));
	if (!all_are(lane.bytes, a->bytes, NOISE))
		wrong(what, a, "it brought bytes");
	lane_close(&lane);
	attempts++;
}

static void refused(const char *what, uint32_t rkey, uint64_t offset,
		    uint32_t bytes)
{
	const enum ibv_wr_opcode ops[] = { IBV_WR_RDMA_READ,
					   IBV_WR_RDMA_WRITE };

	for (int i = 0; i < 2; i++)
		refused_access(what,
			       &(struct access){ ops[i], rkey, offset, bytes });
}

static void try_rkeys_of_others(char **rkeys)
{
	for (; *rkeys; rkeys++)
		refused("another session's rkey",
			(uint32_t)strtoul(*rkeys, NULL, 16), 0, PAGE);
	refused("the victim's rkey", victims_slab.rkey, 0, PAGE);
	refused_access("the victim's rkey",
		       &(struct access){ IBV_WR_ATOMIC_FETCH_AND_ADD,
					 victims_slab.rkey, 0, 8 });
	victim_is_whole("its rkey was tried");
}

/* The low 8 bits of an rkey are drawn, the others count memory regions. */
static void try_rkeys_around(void)
{
	for (uint32_t i = 1; i <= AROUND; i++) {
		refused("an rkey near its own", own.rkey + i, 0, PAGE);
		refused("an rkey near its own", own.rkey - i, 0, PAGE);
		refused("the region after its own", own.rkey + (i << 8), 0,
			PAGE);
		refused("the region before its own", own.rkey - (i << 8), 0,
			PAGE);
	}
	refused("rkey 0", 0, 0, PAGE);
	refused("the last rkey", UINT32_MAX, 0, PAGE);
	victim_is_whole("rkeys were guessed");
}

static void try_offsets(void)
{
	const uint64_t slab = own.bytes;

	refused("behind the slab", own.rkey, slab, PAGE);
	refused("over the end of the slab", own.rkey, slab - PAGE, 2 * PAGE);
	refused("one byte over the end", own.rkey, slab - PAGE + 1, PAGE);
	refused("a slab further", own.rkey, 2 * slab, PAGE);
	refused("before the slab", own.rkey, -(uint64_t)PAGE, PAGE);
	refused("over the beginning", own.rkey, -(uint64_t)PAGE, 2 * PAGE);
	refused("the last byte there is", own.rkey, UINT64_MAX, 1);
	/* as memory of a process is addressed */
	refused("an address", own.rkey, (uintptr_t)host, PAGE);
	refused("an address", own.rkey, UINT64_C(0x7f0000000000), PAGE);
	refused_access("an atomic operation",
		       &(struct access){ IBV_WR_ATOMIC_FETCH_AND_ADD, own.rkey,
					 0, 8 });
	victim_is_whole("offsets were tried");
}

/* FREED says that no other session has the slab yet, and not that the memory is
 * unregistered already: until then the thief reaches what it wrote itself. */
static void await_unregistered(const struct wire_slab *freed)
{
	const struct access a = { IBV_WR_RDMA_READ, freed->rkey, 0, PAGE };
	uint64_t deadline_ns = clock_now_ns() + 60 * NS_PER_S;
	struct lane lane;

	lane_open(&lane, &thief);
	while (lane_do(&lane, &a) == IBV_WC_SUCCESS) {
		if (!all_are(lane.bytes, PAGE, OWN))
			wrong("a slab that was freed", &a, "holds other bytes");
		if (!clock_left_ns(deadline_ns))
			die("a slab that was freed stays registered");
	}
	lane_close(&lane);
}

static void try_a_freed_slab(void)
{
	struct wire_slab freed = client_alloc(&thief);
	struct wire_slab again;
	struct lane lane;

	lane_open(&lane, &thief);
	memset(lane.bytes, OWN, PAGE);
	must(&lane, IBV_WR_RDMA_WRITE, freed.rkey, 0, "a WRITE");
	lane_close(&lane);
	client_free(&thief, freed.slab);
	await_unregistered(&freed);
	refused("a slab that it freed", freed.rkey, 0, PAGE);
	/* and when that memory is some session's again */
	again = client_alloc(&thief);
	if (again.rkey == freed.rkey)
		die("rkey %#x was given out twice", again.rkey);
	refused("the rkey from before the next grant", freed.rkey, 0, PAGE);
	client_free(&thief, again.slab);
	own_access_works();
}

/* --- lanes --- */

static void refused_join(const char *what, const struct wire_token *token)
{
	struct lane lane;
	uint32_t code = 0;

	attempts++;
	if (lane_join(&lane, &thief, token, &code)) {
		lane_close(&lane);
		printf("hostile-verbs: %s joined\n", what);
		faults++;
	} else if (code != WIRE_E_TOKEN) {
		printf("hostile-verbs: %s: refused with error %u\n", what,
		       code);
		faults++;
	}
}

static void try_tokens(void)
{
	struct wire_token nobodys = { .session = UINT32_MAX };
	struct wire_token good = client_token(&thief);
	struct wire_token other;
	struct verbs_client ended;
	struct lane lane;
	uint32_t code;

	refused_join("a lane without a session", &nobodys);
	other = good;
	other.session = victim.opened.session;
	refused_join("a token of its own for the victim's session", &other);
	other = good;
	other.token[7] ^= 1;
	refused_join("another token", &other);
	other = good;
	other.lane++;
	refused_join("a token of another lane", &other);
	if (!lane_join(&lane, &thief, &good, &code))
		die("a good token was refused with error %u", code);
	refused_join("a used token", &good);
	lane_close(&lane);
	good = client_token(&thief);
	client_fence(&thief);
	refused_join("a token from before a FENCE", &good);
	client_open(&ended, host, tls);
	good = client_token(&ended);
	client_bye(&ended);
	refused_join("a token of a session that ended", &good);
	own_access_works();
	victim_is_whole("tokens were tried");
}

/* --- what an earlier session has left --- */

/* Fills slabs, remembers their numbers, and ends its session. */
static void leave_secrets(uint32_t numbers[LEFT_BEHIND])
{
	struct verbs_client client;
	struct lane lane;

	client_open(&client, host, tls);
	lane_open(&lane, &client);
	memset(lane.bytes, SECRET, LANE_BYTES);
	for (int i = 0; i < LEFT_BEHIND; i++) {
		struct wire_slab slab = client_alloc(&client);

		numbers[i] = slab.slab;
		for (uint64_t at = 0; at < slab.bytes; at += PAGE)
			must(&lane, IBV_WR_RDMA_WRITE, slab.rkey, at,
			     "a WRITE of a secret");
	}
	lane_close(&lane);
	client_bye(&client);
}

static bool is_one_of(uint32_t number, const uint32_t numbers[LEFT_BEHIND])
{
	for (int i = 0; i < LEFT_BEHIND; i++) {
		if (numbers[i] == number)
			return true;
	}
	return false;
}

static void assert_zero(struct lane *lane, const struct wire_slab *slab)
{
	for (uint64_t at = 0; at < slab->bytes; at += PAGE) {
		memset(lane->bytes, NOISE, PAGE);
		must(lane, IBV_WR_RDMA_READ, slab->rkey, at, "a READ");
		if (all_are(lane->bytes, PAGE, 0))
			continue;
		wrong("a new slab",
		      &(struct access){ IBV_WR_RDMA_READ, slab->rkey, at,
					PAGE },
		      "it is not zero");
		return;
	}
}

/* Until one of the slabs comes again: which one comes is the server's to say.
 */
static void look_for_secrets(void)
{
	uint64_t deadline_ns = clock_now_ns() + 120 * NS_PER_S;
	uint32_t numbers[LEFT_BEHIND];
	struct lane lane;
	bool again = false;

	leave_secrets(numbers);
	lane_open(&lane, &thief);
	while (!again && clock_left_ns(deadline_ns)) {
		struct wire_slab slab = client_alloc(&thief);

		again = is_one_of(slab.slab, numbers);
		assert_zero(&lane, &slab);
		client_free(&thief, slab.slab);
		attempts++;
	}
	if (!again)
		die("no slab was granted again");
	lane_close(&lane);
}

static void prepare(void)
{
	struct lane first; /* a slab needs one, to be registered */

	client_open(&victim, host, tls);
	lane_open(&victims_lane, &victim);
	victims_slab = client_alloc(&victim);
	memset(victims_lane.bytes, SECRET, PAGE);
	must(&victims_lane, IBV_WR_RDMA_WRITE, victims_slab.rkey, 0,
	     "the victim's WRITE");
	client_open(&thief, host, tls);
	lane_open(&first, &thief);
	own = client_alloc(&thief);
	lane_close(&first);
	own_access_works();
}

int main(int argc, char **argv)
{
	struct error why;

	if (argc < 3)
		die("usage: hostile-verbs HOST PSK-FILE RKEY...");
	host = argv[1];
	tls = tls_client_read(argv[2], NULL, &why);
	if (!tls)
		die("%s: %s", argv[2], why.text);
	alarm(LIMIT_S);
	prepare();
	try_rkeys_of_others(argv + 3);
	try_rkeys_around();
	try_offsets();
	try_a_freed_slab();
	try_tokens();
	look_for_secrets();
	own_access_works();
	victim_is_whole("everything was tried");
	client_bye(&thief);
	lane_close(&victims_lane);
	client_bye(&victim);
	tls_context_free(tls);
	printf("hostile-verbs: %u attempts, %u faults\n", attempts, faults);
	return faults ? 1 : 0;
}
