#include "fake_servers.h"
#include "transport/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "repair/repair.h"
#include "servers/placement.h"
#include "servers/session.h"

struct fake_servers fake;

static struct fake_link *fake_link(struct link *link)
{
	return (struct fake_link *)link;
}

/* --- the transport --- */

static void log_xfer(const struct xfer *x)
{
	struct fake_sent *sent = &fake.sent[fake.n_sent++ % FAKE_LOG_MAX];

	*sent = (struct fake_sent){ .op = x->op,
				    .machine = fake_link(x->link)->machine,
				    .bytes = x->bytes,
				    .offset_bytes = x->offset_bytes,
				    .submit = fake.submits,
				    .address = (uint32_t)x->remote.address };
}

static void fake_submit(struct channel *channel, struct xfer *xfers, size_t n,
			uint64_t deadline_ns)
{
	(void)deadline_ns;
	if (channel == fake.closed)
		abort();
	pthread_mutex_lock(&fake.lock);
	fake.submits++;
	for (size_t i = 0; i < n; i++) {
		if (xfers[i].link->channel != channel)
			abort();
		xfers[i].status = -EINPROGRESS;
		log_xfer(&xfers[i]);
	}
	pthread_mutex_unlock(&fake.lock);
}

/* The status that the test wants for X, or 0. */
static int fault_of(const struct xfer *x)
{
	struct fake_fault *f = &fake.fault;

	if (atomic_load(&fake_link(x->link)->aborted))
		return -ECONNRESET;
	if (fake.fault_permille &&
	    random_next(&fake.seed) % 1000 < fake.fault_permille)
		return -ECONNRESET;
	if (f->times == 0 || f->machine != fake_link(x->link)->machine)
		return 0;
	if (f->skip > 0) {
		f->skip--;
		return 0;
	}
	f->times--;
	return f->status;
}

/* No answer, unless the link is aborted and the server does not hang. */
static bool is_silent(const struct xfer *x)
{
	const struct fake_link *link = fake_link(x->link);
	struct fake_session *s = &fake.sessions[link->machine];

	return atomic_load(&s->silent) &&
	       (atomic_load(&s->hangs) || !atomic_load(&link->aborted));
}

/* How many bytes move: all, or by turns nothing, half or all. */
static size_t bytes_moved(const struct xfer *x, int status)
{
	return status == 0 ? x->bytes
			   : x->bytes / 2 * (random_next(&fake.seed) % 3);
}

/* What is to be called in the middle of X, or NULL. */
static void (*halfway_of(const struct xfer *x))(const struct xfer *x)
{
	void (*call)(const struct xfer *x) = fake.halfway.call;

	if (!call || x->op != fake.halfway.op)
		return NULL;
	if (fake.halfway.skip > 0) {
		fake.halfway.skip--;
		return NULL;
	}
	fake.halfway.call = NULL;
	return call;
}

/* Under the lock, but for what is called halfway. */
static void copy_halves(const struct xfer *x, void *to, const void *from,
			size_t bytes)
{
	void (*call)(const struct xfer *x) = halfway_of(x);
	size_t half = call ? bytes / 2 : 0;

	memcpy(to, from, half);
	if (call) {
		pthread_mutex_unlock(&fake.lock);
		call(x);
		pthread_mutex_lock(&fake.lock);
	}
	memcpy((char *)to + half, (const char *)from + half, bytes - half);
}

static void move(const struct xfer *x, int status)
{
	char *stored = fake.slabs[x->remote.address] + x->offset_bytes;
	size_t bytes = bytes_moved(x, status);

	if (x->offset_bytes + x->bytes > FAKE_SLAB_BYTES)
		abort();
	if (x->op == XFER_WRITE) {
		copy_halves(x, stored, x->buf, bytes);
	} else {
		/* A read that fails leaves rubbish. */
		memset(x->buf, 0x5a, x->bytes);
		copy_halves(x, x->buf, stored, bytes);
		fake.read_bytes += bytes;
	}
}

/* Carries out what is in progress; how many are over. */
static size_t fake_wait_until(struct channel *channel, struct xfer *xfers,
			      size_t n, size_t want, uint64_t deadline_ns)
{
	size_t over = 0;

	(void)channel;
	(void)want;
	(void)deadline_ns;
	pthread_mutex_lock(&fake.lock);
	if (fake.waits++ == 0)
		fake.submits_at_first_wait = fake.submits;
	for (size_t i = 0; i < n; i++) {
		int status;

		if (!xfer_in_progress(&xfers[i])) {
			over++;
			continue;
		}
		if (is_silent(&xfers[i]))
			continue;
		status = fault_of(&xfers[i]);
		if (status != XFER_UNSENT)
			move(&xfers[i], status);
		atomic_store(&xfers[i].status, status);
		if (status && status != XFER_UNSENT)
			atomic_store(&fake_link(xfers[i].link)->aborted, true);
		over++;
	}
	pthread_mutex_unlock(&fake.lock);
	/* As a real one would: no answer until the deadline. */
	if (over < want && clock_left_ns(deadline_ns) > 0)
		sleep_ms(1);
	return over;
}

static void fake_wait(struct channel *channel, struct xfer *xfers, size_t n,
		      uint64_t deadline_ns)
{
	while (fake_wait_until(channel, xfers, n, n, deadline_ns) < n) {
		if (clock_left_ns(deadline_ns) > 0)
			continue;
		for (size_t i = 0; i < n; i++) {
			if (!xfer_in_progress(&xfers[i]))
				continue;
			atomic_store(&fake_link(xfers[i].link)->aborted, true);
			atomic_store(&xfers[i].status, -ETIMEDOUT);
		}
	}
}

static void fake_abandon(struct channel *channel, struct xfer *xfers, size_t n)
{
	(void)channel;
	for (size_t i = 0; i < n; i++) {
		if (xfer_in_progress(&xfers[i]))
			atomic_store(&xfers[i].status, -ETIMEDOUT);
	}
}

static bool fake_usable(const struct channel *channel)
{
	return channel != fake.closed;
}

static void fake_abort(struct link *link)
{
	atomic_store(&fake_link(link)->aborted, true);
}

static void fake_close(struct link *link)
{
	free(link);
}

static void fake_channel_destroy(struct channel *channel)
{
	free(channel);
}

/* A transfer happens when it is waited for, so there is nothing to wait on. */
static void fake_watch(const struct xfer *x, struct watch *watch)
{
	if (fake.watch)
		fake.watch(watch);
	fake_wait_until(x->link->channel, (struct xfer *)(uintptr_t)x, 1, 1, 0);
}

static const struct transport_ops fake_ops = {
	.name = "fake",
	.in_place = true,
	.channel_destroy = fake_channel_destroy,
	.link_abort = fake_abort,
	.link_close = fake_close,
	.submit = fake_submit,
	.wait_until = fake_wait_until,
	.wait = fake_wait,
	.abandon = fake_abandon,
	.usable = fake_usable,
	.watch = fake_watch,
};

/* --- what a session does --- */

void fake_link_up(uint32_t machine)
{
	struct lane_pool *pool = &fake.engine.lanes;

	for (uint32_t i = 0; i < pool->n; i++) {
		struct lane *lane = &pool->lanes[i];
		struct fake_link *link = calloc(1, sizeof *link);

		link->base.ops = &fake_ops;
		link->base.channel = lane->channels[machine % 2];
		link->machine = machine;
		lane->links[machine].link = &link->base;
	}
	lane_links_up(pool, machine);
}

void fake_unlink(uint32_t machine)
{
	session_close_links(&fake.engine.servers[machine]);
}

void fake_repair(uint32_t machine)
{
	fake_unlink(machine);
	fake_link_up(machine);
	server_set_state(&fake.engine.servers[machine], SERVER_UP);
}

void fake_lose(uint32_t machine)
{
	struct server *server = &fake.engine.servers[machine];

	pthread_mutex_lock(&fake.sessions[machine].lock);
	server_break(server, "the test loses it");
	session_close_links(server);
	session_lose_slabs(server);
	server_set_state(server, SERVER_DOWN);
	session_refuse_slabs(server);
	pthread_mutex_unlock(&fake.sessions[machine].lock);
}

/* A slab that holds nothing, as a server gives it out. */
static struct remote_slab new_slab(void)
{
	struct remote_slab remote;

	pthread_mutex_lock(&fake.lock);
	if (fake.n_slabs == COUNT(fake.slabs))
		abort();
	fake.slabs[fake.n_slabs] = calloc(1, FAKE_SLAB_BYTES);
	remote = (struct remote_slab){ .address = fake.n_slabs,
				       .slab = fake.n_slabs };
	fake.n_slabs++;
	pthread_mutex_unlock(&fake.lock);
	return remote;
}

void fake_answer_asks(uint32_t machine)
{
	struct server *server = &fake.engine.servers[machine];
	struct slab_shard *shard;
	struct given_back given_back;

	while (server_next_given_back(server, &given_back))
		atomic_fetch_sub(&server->shared.slabs, 1);
	while ((shard = server_next_ask(server))) {
		struct remote_slab remote;

		if (atomic_load(&fake.sessions[machine].full)) {
			atomic_store(&server->shared.free_bytes, 0);
			placement_answer(&fake.engine, shard, NULL);
		} else {
			remote = new_slab();
			placement_answer(&fake.engine, shard, &remote);
		}
	}
}

static void *session_thread(void *arg)
{
	struct fake_session *s = arg;
	struct pollfd p = { .fd = s->server->wake_fd, .events = POLLIN };

	while (!atomic_load(&s->stop)) {
		uint64_t count;

		if (poll(&p, 1, 5) > 0)
			(void)!read(p.fd, &count, sizeof count);
		pthread_mutex_lock(&s->lock);
		if (server_state(s->server) == SERVER_RECOVERING &&
		    !atomic_load(&s->no_repair))
			fake_repair(s->server->index);
		pthread_mutex_unlock(&s->lock);
		fake_answer_asks(s->server->index);
	}
	return NULL;
}

void fake_session_start(uint32_t machine)
{
	struct fake_session *s = &fake.sessions[machine];

	s->server = &fake.engine.servers[machine];
	s->runs = true;
	s->thread = thread_start(session_thread, s);
}

void fake_map_slab(uint64_t number, uint32_t machine)
{
	struct slab_table *table = &fake.engine.slabs;
	struct slab *slab = &table->slabs[number];

	assert_true(slab_begin_alloc(slab));
	for (uint8_t index = 0; index < fake.engine.redundancy.shards;
	     index++) {
		struct slab_shard *shard = &slab->shards[index];

		shard->server = (machine + index) % fake.engine.n_servers;
		shard->index = index;
		shard->remote = new_slab();
		atomic_store(&shard->state, SHARD_LIVE);
	}
	slab_finish_alloc(table, slab);
}

/* --- life --- */

static void make_channels(struct lane_pool *pool)
{
	for (uint32_t i = 0; i < pool->n; i++) {
		for (int t = 0; t < N_TRANSPORTS; t++) {
			struct channel *channel = calloc(1, sizeof *channel);

			channel->ops = &fake_ops;
			pool->lanes[i].channels[t] = channel;
		}
	}
}

void fake_start(uint32_t servers, uint32_t lanes, uint64_t timeout_ms)
{
	fake_start_copies(servers, lanes, timeout_ms, 1, 0, 0);
}

void fake_start_copies(uint32_t servers, uint32_t lanes, uint64_t timeout_ms,
		       uint32_t copies, uint32_t data, uint32_t parity)
{
	struct engine_config config = { .servers = fake.names,
					.n_servers = servers,
					.size_bytes = FAKE_PAGES * PAGE_BYTES,
					.lanes = lanes,
					.timeout_ns = timeout_ms * NS_PER_MS,
					.redundancy = { .copies = copies,
							.data = data,
							.parity = parity },
					.encrypt = FAKE_ENCRYPT,
					.checksum = true };
	struct error why;

	memset(&fake, 0, sizeof fake);
	pthread_mutex_init(&fake.lock, NULL);
	quiet_log();
	for (uint32_t i = 0; i < servers; i++)
		snprintf(fake.names[i].host, sizeof fake.names[i].host,
			 "server%u", i);
	assert_int_equal(engine_create(&fake.engine, &config, FAKE_SLAB_BYTES,
				       NULL, &why),
			 0);
	/* Placement draws servers by it: the same ones in each run. */
	fake.engine.start_ns = 0;
	make_channels(&fake.engine.lanes);
	for (uint32_t i = 0; i < servers; i++) {
		struct server *server = &fake.engine.servers[i];

		atomic_store(&server->shared.free_bytes, UINT64_C(1) << 30);
		fake_link_up(i);
		server_set_state(server, SERVER_UP);
	}
}

void fake_stop(void)
{
	repair_stop(&fake.engine);
	for (uint32_t i = 0; i < fake.engine.config.n_servers; i++) {
		struct fake_session *s = &fake.sessions[i];

		atomic_store(&s->silent, false);
		if (s->runs) {
			atomic_store(&s->stop, true);
			server_wake(s->server);
			thread_end(s->thread);
		}
		fake_unlink(i);
	}
	assert_true(lane_pool_close(&fake.engine.lanes, after_ms(0)));
	engine_destroy(&fake.engine);
	for (uint32_t i = 0; i < fake.n_slabs; i++)
		free(fake.slabs[i]);
	pthread_mutex_destroy(&fake.lock);
}

void fake_clear_log(void)
{
	pthread_mutex_lock(&fake.lock);
	fake.n_sent = 0;
	fake.submits = fake.waits = fake.submits_at_first_wait = 0;
	pthread_mutex_unlock(&fake.lock);
}

/* --- pages --- */

const char *fake_stored(uint64_t page)
{
	const struct slab_table *table = &fake.engine.slabs;
	const struct slab *slab = &table->slabs[slab_of_page(table, page)];

	return fake.slabs[slab->shards[0].remote.address] +
	       slab_offset_of_page(table, page);
}

void fake_assert_stored(uint64_t page, const char *bytes, uint32_t n)
{
	const struct codec *codec = &fake.engine.codec;
	uint8_t *got = malloc((size_t)n * PAGE_BYTES);
	const uint8_t *units = (const uint8_t *)fake_stored(page);

	if (codec->direct)
		memcpy(got, units, (size_t)n * PAGE_BYTES);
	else
		assert_int_equal(codec_decode(codec, fake.engine.lanes.n - 1,
					      page, n, units, got),
				 n);
	assert_memory_equal(got, bytes, (size_t)n * PAGE_BYTES);
	free(got);
}

void fake_spoil(uint64_t page, uint32_t i)
{
	const struct slab_table *table = &fake.engine.slabs;
	const struct slab *slab = &table->slabs[slab_of_page(table, page)];
	char *chunk = fake.slabs[slab->shards[i].remote.address] +
		      slab_offset_of_page(table, page);

	pthread_mutex_lock(&fake.lock);
	chunk[100] ^= 1;
	pthread_mutex_unlock(&fake.lock);
}

void fake_at_halfway(enum xfer_op op, unsigned skip,
		     void (*call)(const struct xfer *x))
{
	pthread_mutex_lock(&fake.lock);
	fake.halfway =
		(struct fake_halfway){ .op = op, .skip = skip, .call = call };
	pthread_mutex_unlock(&fake.lock);
}

void fake_fill(char *buf, uint64_t page, uint64_t n, uint64_t version)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t seed = (page + i) << 32 | version;
		uint64_t *words = (uint64_t *)(void *)(buf + i * PAGE_BYTES);

		for (size_t j = 0; j < PAGE_BYTES / sizeof *words; j++)
			words[j] = random_next(&seed);
	}
}

int fake_read(char *buf, uint64_t page, uint64_t n)
{
	return engine_read(&fake.engine, buf, n * PAGE_BYTES,
			   page * PAGE_BYTES);
}

int fake_write(const char *buf, uint64_t page, uint64_t n)
{
	return engine_write(&fake.engine, buf, n * PAGE_BYTES,
			    page * PAGE_BYTES);
}

void assert_counts_right(void)
{
	const struct slab_table *table = &fake.engine.slabs;

	for (uint64_t i = 0; i < table->n; i++) {
		int present = 0;

		for (uint64_t j = 0; j < fake.engine.pages.pages; j++)
			present += slab_of_page(table, j) == i &&
				   pagemap_get(&fake.engine.pages, j) ==
					   PAGE_PRESENT;
		assert_int_equal(atomic_load(&table->slabs[i].present_pages),
				 present);
	}
}
