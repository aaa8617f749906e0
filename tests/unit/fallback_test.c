#include "servers/fallback.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fallback_dir.h"
#include "support.h"
#include "pages/seal.h"
#include "transport/file.h"
#include "transport/waker.h"

#define SLOT	     (64u << 10)
#define SLOTS	     4
#define HEADER	     4096u
#define BUFFER_BYTES (16u << 10) /* of a channel */

static char path[64];
static char loop[64]; /* a loop device on it */

/* --- a disk that refuses --- */

static int fallocate_error; /* 0: the real one */

int __real_fallocate(int fd, int mode, off_t at, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t at, off_t bytes);

int __wrap_fallocate(int fd, int mode, off_t at, off_t bytes)
{
	if (!fallocate_error)
		return __real_fallocate(fd, mode, at, bytes);
	/* what it gets before it finds out */
	assert_int_equal(__real_fallocate(fd, mode, at, bytes / 2), 0);
	errno = fallocate_error;
	return -1;
}

/* --- a disk that hangs --- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool hangs;
	unsigned hanging; /* calls of pwrite */
} stuck_disk = { .lock = PTHREAD_MUTEX_INITIALIZER,
		 .changed = PTHREAD_COND_INITIALIZER };

ssize_t __real_pwrite(int fd, const void *buf, size_t bytes, off_t at);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t bytes, off_t at);

ssize_t __wrap_pwrite(int fd, const void *buf, size_t bytes, off_t at)
{
	pthread_mutex_lock(&stuck_disk.lock);
	stuck_disk.hanging++;
	pthread_cond_broadcast(&stuck_disk.changed);
	while (stuck_disk.hangs)
		pthread_cond_wait(&stuck_disk.changed, &stuck_disk.lock);
	stuck_disk.hanging--;
	pthread_mutex_unlock(&stuck_disk.lock);
	return __real_pwrite(fd, buf, bytes, at);
}

static void set_hangs(bool hangs)
{
	pthread_mutex_lock(&stuck_disk.lock);
	stuck_disk.hangs = hangs;
	pthread_cond_broadcast(&stuck_disk.changed);
	pthread_mutex_unlock(&stuck_disk.lock);
}

static void await_hanging(void)
{
	pthread_mutex_lock(&stuck_disk.lock);
	while (stuck_disk.hanging == 0)
		pthread_cond_wait(&stuck_disk.changed, &stuck_disk.lock);
	pthread_mutex_unlock(&stuck_disk.lock);
}

/* --- files --- */

static int begin(void **state)
{
	(void)state;
	fallocate_error = 0;
	return 0;
}

/* Of loop, which is "" where there is none. */
static void end_loop(void)
{
	char command[128];

	if (!loop[0])
		return;
	snprintf(command, sizeof command, "losetup --detach %s", loop);
	if (system(command))
		print_error("%s fails\n", command);
	loop[0] = '\0';
}

static int end(void **state)
{
	(void)state;
	end_loop();
	unlink(path);
	return 0;
}

static void write_file(const void *bytes, size_t n, off_t at)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

static uint64_t file_bytes(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

static bool exists(void)
{
	return access(path, F_OK) == 0;
}

/* --- opening --- */

/* Of the fallbacks that are opened: as long as a page, or as a sealed page. */
static uint32_t chunk_bytes = 4096;

static int open_of(struct fallback *f, const char *name, uint64_t size_bytes,
		   struct error *why)
{
	struct fallback_config config = {
		.path = name,
		.size_bytes = size_bytes,
		.default_slots = SLOTS,
		.slab_bytes = SLOT,
		.chunk_bytes = chunk_bytes,
	};

	why->text[0] = '\0';
	return fallback_open(f, &config, why);
}

static void open_well(struct fallback *f, uint64_t size_bytes)
{
	struct error why;
	int rc = open_of(f, path, size_bytes, &why);

	if (rc)
		fail_msg("%s", why.text);
}

static void expect_refused(const char *name, uint64_t size_bytes,
			   const char *words)
{
	struct fallback f;
	struct error why;

	assert_true(open_of(&f, name, size_bytes, &why) < 0);
	assert_contains(why.text, "fallback=");
	assert_contains(why.text, name);
	assert_contains(why.text, words);
	fallback_close(&f);
}

static void a_new_file_is_its_owners_and_has_its_room(void **state)
{
	struct fallback f;
	struct stat st;

	(void)state;
	umask(0);
	open_well(&f, 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, HEADER + SLOTS * SLOT);
	assert_true(st.st_blocks * 512 >= st.st_size);
	assert_int_equal(fallback_total_bytes(&f), SLOTS * SLOT);
	assert_int_equal(fallback_free_bytes(&f), SLOTS * SLOT);
	fallback_close(&f);
	assert_true(exists());
}

static void a_size_is_kept_to_in_whole_slabs(void **state)
{
	struct fallback f;

	(void)state;
	open_well(&f, 2 * SLOT + SLOT / 2);
	assert_int_equal(fallback_total_bytes(&f), 2 * SLOT);
	fallback_close(&f);
	assert_int_equal(file_bytes(), HEADER + 2 * SLOT);
}

static void an_existing_one_keeps_its_size_or_grows(void **state)
{
	struct fallback f;

	(void)state;
	open_well(&f, 2 * SLOT);
	fallback_close(&f);
	open_well(&f, 0);
	assert_int_equal(fallback_total_bytes(&f), 2 * SLOT);
	fallback_close(&f);
	open_well(&f, 6 * SLOT);
	assert_int_equal(fallback_total_bytes(&f), 6 * SLOT);
	fallback_close(&f);
	open_well(&f, 1 * SLOT);
	assert_int_equal(fallback_total_bytes(&f), 1 * SLOT);
	fallback_close(&f);
	assert_int_equal(file_bytes(), HEADER + 6 * SLOT);
}

static void one_of_zeros_is_taken_and_gets_all_its_room(void **state)
{
	struct fallback f;
	struct stat st;

	(void)state;
	write_file("", 1, HEADER + 3 * SLOT - 1);
	open_well(&f, 0);
	assert_int_equal(fallback_total_bytes(&f), 3 * SLOT);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_blocks * 512 >= st.st_size);
	fallback_close(&f);
}

static void expect_untouched(const char *bytes, size_t n, off_t at)
{
	uint64_t size_bytes = file_bytes();
	char back[64];
	int fd;

	expect_refused(path, 4 * SLOT, "holds something that is not rswap's");
	assert_int_equal(file_bytes(), size_bytes);
	fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, back, n, at), n);
	assert_memory_equal(back, bytes, n);
	close(fd);
	unlink(path);
}

static void what_holds_something_else_is_refused_untouched(void **state)
{
	(void)state;
	write_file("precious", 8, 0);
	expect_untouched("precious", 8, 0);
	write_file("precious", 8, 8192);
	expect_untouched("precious", 8, 8192);
	write_file("precious", 8, (128 << 10) - 8);
	expect_untouched("precious", 8, (128 << 10) - 8);
	write_file("rswap fallback 2\n", 18, 0);
	expect_untouched("rswap fallback 2\n", 18, 0);
}

static void two_at_a_time_are_refused(void **state)
{
	struct fallback f;

	(void)state;
	open_well(&f, 0);
	expect_refused(path, 0, "another nbdkit uses it");
	assert_true(exists());
	fallback_close(&f);
	open_well(&f, 0);
	fallback_close(&f);
}

static void what_is_no_file_is_refused(void **state)
{
	(void)state;
	expect_refused("/", 0, "neither a regular file nor a block device");
	expect_refused("/dev/null", 0,
		       "neither a regular file nor a block device");
	expect_refused("no/such/directory/f", 0, "No such file or directory");
}

static void one_in_memory_is_refused_and_not_left_behind(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof name, "/dev/shm/rswap-test.%d", (int)getpid());
	expect_refused(name, 0, "fallback=");
	assert_int_not_equal(access(name, F_OK), 0);
}

static void less_than_a_slab_is_refused(void **state)
{
	(void)state;
	expect_refused(path, SLOT - 1, "65535 are less than one slab of 64K");
	assert_false(exists());
	write_file("", 1, HEADER + SLOT - 2);
	expect_refused(path, 0, "are less than one slab of 64K");
}

static void room_that_is_not_to_be_had_is_told_of(void **state)
{
	static const struct {
		int error;
		const char *words;
	} cases[] = {
		{ ENOSPC, "260K do not fit its file system, which has" },
		{ EOPNOTSUPP, "its file system cannot reserve room" },
		{ ETXTBSY, "is swapped on" },
		{ EIO, "cannot reserve room: Input/output error" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		fallocate_error = cases[i].error;
		expect_refused(path, 0, cases[i].words);
		assert_false(exists());
	}
}

static void a_file_that_cannot_grow_stays_as_it_was(void **state)
{
	struct fallback f;

	(void)state;
	open_well(&f, 2 * SLOT);
	fallback_close(&f);
	fallocate_error = ENOSPC;
	expect_refused(path, 20 * SLOT, "do not fit");
	assert_int_equal(file_bytes(), HEADER + 2 * SLOT);
}

static void a_size_beyond_all_files_is_refused(void **state)
{
	(void)state;
	expect_refused(path, INT64_MAX, "large");
	assert_false(exists());
}

static void one_that_was_never_opened_can_be_closed(void **state)
{
	struct fallback f = { 0 };
	int zero = fcntl(0, F_GETFD);

	(void)state;
	fallback_close(&f);
	assert_int_equal(fcntl(0, F_GETFD), zero);
}

/* --- slots --- */

static void slots_are_apart_and_come_back(void **state)
{
	struct remote_slab slots[SLOTS], again;
	struct fallback f;

	(void)state;
	open_well(&f, 0);
	for (uint32_t i = 0; i < SLOTS; i++) {
		assert_true(fallback_take(&f, &slots[i]));
		assert_int_equal(slots[i].address, HEADER + i * SLOT);
		assert_int_equal(fallback_free_bytes(&f),
				 (SLOTS - 1 - i) * SLOT);
	}
	assert_false(fallback_take(&f, &again));
	fallback_give_back(&f, &slots[2]);
	assert_int_equal(fallback_free_bytes(&f), SLOT);
	assert_true(fallback_take(&f, &again));
	assert_int_equal(again.address, slots[2].address);
	assert_int_equal(again.slab, slots[2].slab);
	assert_false(fallback_take(&f, &again));
	assert_int_equal(file_bytes(), HEADER + SLOTS * SLOT);
	fallback_close(&f);
}

static char disk[SLOT];

static void assert_zeros(const struct remote_slab *slot)
{
	int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, disk, SLOT, (off_t)slot->address), SLOT);
	close(fd);
	for (size_t i = 0; i < SLOT; i++)
		assert_int_equal(disk[i], 0);
}

/* So that a file system has nothing left to convert: what was there tells
 * whether zeros were written. */
static void a_slot_is_written_before_its_first_use(void **state)
{
	struct remote_slab slot;
	struct fallback f;

	(void)state;
	open_well(&f, 0);
	memset(disk, 'x', SLOT);
	for (uint32_t i = 0; i < SLOTS; i++)
		write_file(disk, SLOT, HEADER + (off_t)i * SLOT);
	assert_true(fallback_take(&f, &slot));
	assert_zeros(&slot);
	/* Another one ahead of its use, which then comes first. */
	assert_true(fallback_prepare_one(&f));
	memset(disk, 'x', SLOT);
	write_file(disk, SLOT, (off_t)slot.address);
	fallback_give_back(&f, &slot);
	for (uint32_t i = 0; i < 2; i++)
		assert_true(fallback_prepare_one(&f));
	assert_false(fallback_prepare_one(&f));
	for (uint32_t i = 0; i < SLOTS; i++) {
		assert_true(fallback_take(&f, &slot));
		if (i > 0) /* but for the one that was used before */
			assert_zeros(&slot);
	}
	assert_false(fallback_take(&f, &slot));
	fallback_close(&f);
}

/* --- transfers --- */

struct user {
	struct fallback *f;
	struct channel *channel;
	struct link *link;
	struct remote_slab slot;
};

static void begin_user(struct user *u, struct fallback *f)
{
	const struct channel_config config = { .buffer_bytes = BUFFER_BYTES };
	const struct link_target target = { .group = &f->group };
	struct error why;

	u->f = f;
	assert_int_equal(
		transport_file.channel_create(&config, &u->channel, &why), 0);
	assert_int_equal(transport_file.link_connect(u->channel, &target, 0,
						     &u->link, &why),
			 0);
	assert_true(fallback_take(f, &u->slot));
}

static void end_user(struct user *u)
{
	fallback_give_back(u->f, &u->slot);
	transport_file.link_close(u->link);
	transport_file.channel_destroy(u->channel);
}

static int move(struct user *u, enum xfer_op op, void *buf, uint32_t bytes,
		uint64_t offset_bytes, uint64_t deadline_ns)
{
	struct xfer x = {
		.link = u->link,
		.op = op,
		.bytes = bytes,
		.remote = u->slot,
		.offset_bytes = offset_bytes,
		.buf = buf,
	};
	const struct transport_ops *ops = u->link->ops;

	ops->submit(u->channel, &x, 1, deadline_ns);
	ops->wait_until(u->channel, &x, 1, 1, deadline_ns);
	ops->wait(u->channel, &x, 1, deadline_ns);
	return x.status;
}

static void read_what_was_written(void)
{
	static uint8_t shadow[2][SLOT], room[SLOT + 65];
	const uint32_t chunks = SLOT / chunk_bytes,
		       bytes = chunks * chunk_bytes;
	uint64_t seed = random_seed();
	struct user users[2];
	struct fallback f;

	open_well(&f, 0);
	assert_int_equal(fallback_total_bytes(&f), SLOTS * SLOT);
	for (int i = 0; i < 2; i++) {
		begin_user(&users[i], &f);
		random_fill(&seed, shadow[i], bytes);
		assert_int_equal(move(&users[i], XFER_WRITE, shadow[i], bytes,
				      0, after_ms(LONG_MS)),
				 0);
	}
	for (int i = 0; i < 200; i++) {
		uint64_t first = random_next(&seed) % chunks;
		uint64_t at = first * chunk_bytes;
		uint32_t n =
			(uint32_t)(random_next(&seed) % (chunks - first) + 1) *
			chunk_bytes;
		uint8_t *buf = room + random_next(&seed) % 64;
		int who = (int)(random_next(&seed) % 2);

		if (random_next(&seed) % 2) {
			random_fill(&seed, buf, n);
			memcpy(shadow[who] + at, buf, n);
			assert_int_equal(move(&users[who], XFER_WRITE, buf, n,
					      at, after_ms(LONG_MS)),
					 0);
		}
		memset(room, 0xee, sizeof room);
		assert_int_equal(move(&users[who], XFER_READ, buf, n, at,
				      after_ms(LONG_MS)),
				 0);
		assert_memory_equal(buf, shadow[who] + at, n);
		assert_int_equal(buf[n], 0xee);
	}
	assert_int_equal(file_group_error(f.group), 0);
	for (int i = 0; i < 2; i++)
		end_user(&users[i]);
	fallback_close(&f);
}

static void what_was_written_is_read(void **state)
{
	(void)state;
	read_what_was_written();
}

/* Two blocks each, so that no write touches a block of the page beside it. */
static void chunks_longer_than_a_block_are_read_too(void **state)
{
	(void)state;
	chunk_bytes = SEAL_UNIT_BYTES;
	read_what_was_written();
	assert_int_equal(file_bytes(),
			 HEADER + SLOTS * (SLOT / SEAL_UNIT_BYTES * 8192));
	chunk_bytes = 4096;
}

static void several_transfers_go_in_one_submit(void **state)
{
	uint8_t pages[4][4096], back[4][4096];
	uint64_t seed = random_seed();
	struct xfer xfers[4];
	struct fallback f;
	struct user u;

	(void)state;
	open_well(&f, 0);
	begin_user(&u, &f);
	random_fill(&seed, pages, sizeof pages);
	for (int read = 0; read < 2; read++) {
		for (uint32_t i = 0; i < 4; i++)
			xfers[i] = (struct xfer){
				.link = u.link,
				.op = read ? XFER_READ : XFER_WRITE,
				.bytes = 4096,
				.remote = u.slot,
				.offset_bytes = (3 - i) * 8192,
				.buf = read ? back[i] : pages[i],
			};
		u.link->ops->submit(u.channel, xfers, 4, after_ms(LONG_MS));
		assert_int_equal(u.link->ops->wait_until(u.channel, xfers, 4, 4,
							 after_ms(LONG_MS)),
				 4);
		for (int i = 0; i < 4; i++)
			assert_int_equal(xfers[i].status, 0);
	}
	assert_memory_equal(pages, back, sizeof pages);
	end_user(&u);
	fallback_close(&f);
}

static void shards_of_blocks_are_refused(void **state)
{
	static uint8_t buf[8192];
	struct fallback f;
	struct user u;

	(void)state;
	open_well(&f, 0);
	begin_user(&u, &f);
	assert_int_equal(move(&u, XFER_WRITE, buf, 512, 0, after_ms(LONG_MS)),
			 -EREMOTEIO);
	assert_int_equal(
		move(&u, XFER_READ, buf, 4096, 1024, after_ms(LONG_MS)),
		-EREMOTEIO);
	assert_int_equal(file_group_error(f.group), EINVAL);
	end_user(&u);
	fallback_close(&f);
}

static void nothing_moves_after_an_abort_or_the_deadline(void **state)
{
	static uint8_t ones[4096], back[4096];
	struct user u, other;
	struct fallback f;

	(void)state;
	memset(ones, 0xff, sizeof ones);
	open_well(&f, 0);
	begin_user(&u, &f);
	begin_user(&other, &f);
	other.slot = u.slot;
	assert_int_equal(move(&u, XFER_WRITE, ones, 4096, 0, 1), -ETIMEDOUT);
	transport_file.link_abort(u.link);
	transport_file.link_abort(u.link);
	assert_int_equal(move(&u, XFER_WRITE, ones, 4096, 0, after_ms(LONG_MS)),
			 -ECONNABORTED);
	assert_int_equal(
		move(&other, XFER_READ, back, 4096, 0, after_ms(LONG_MS)), 0);
	assert_int_equal(back[0], 0);
	end_user(&other);
	end_user(&u);
	fallback_close(&f);
}

/* The caller's memory is the caller's again, though the disk has not answered.
 * Another channel goes on. */
static void a_disk_that_hangs_holds_no_caller(void **state)
{
	static uint8_t ones[4096], back[4096];
	struct xfer x[2];
	struct user u, other;
	struct fallback f;

	(void)state;
	memset(ones, 0xff, sizeof ones);
	open_well(&f, 0);
	begin_user(&u, &f);
	begin_user(&other, &f);
	set_hangs(true);
	for (int i = 0; i < 2; i++)
		x[i] = (struct xfer){ .link = u.link,
				      .op = XFER_WRITE,
				      .bytes = 4096,
				      .remote = u.slot,
				      .offset_bytes = (uint64_t)i * 4096,
				      .buf = ones };
	transport_file.submit(u.channel, x, 2, after_ms(LONG_MS));
	await_hanging();
	assert_int_equal(x[0].status, -EINPROGRESS);
	assert_int_equal(
		transport_file.wait_until(u.channel, x, 2, 1, after_ms(20)), 0);
	assert_true(channel_is_usable(u.channel));
	transport_file.wait(u.channel, x, 2, after_ms(20));
	assert_int_equal(x[0].status, -ETIMEDOUT);
	assert_int_equal(x[1].status, -ETIMEDOUT);
	memset(ones, 0x11, sizeof ones);
	assert_false(channel_is_usable(u.channel));
	assert_int_equal(move(&u, XFER_READ, back, 4096, 0, after_ms(LONG_MS)),
			 XFER_UNSENT);
	assert_int_equal(
		move(&other, XFER_READ, back, 4096, 0, after_ms(LONG_MS)), 0);
	set_hangs(false);
	other.slot = u.slot;
	end_user(&u); /* after the write that hung */
	assert_int_equal(
		move(&other, XFER_READ, back, 4096, 0, after_ms(LONG_MS)), 0);
	assert_int_equal(back[0], 0xff);
	assert_int_equal(
		move(&other, XFER_READ, back, 4096, 4096, after_ms(LONG_MS)),
		0);
	assert_int_equal(back[0], 0);
	end_user(&other);
	fallback_close(&f);
}

static void *release_disk_soon(void *arg)
{
	(void)arg;
	wait_until_asleep();
	set_hangs(false);
	return NULL;
}

static void a_link_is_closed_after_its_last_write(void **state)
{
	static uint8_t ones[4096];
	struct user u;
	struct fallback f;
	struct xfer x;
	pthread_t thread;

	(void)state;
	open_well(&f, 0);
	begin_user(&u, &f);
	set_hangs(true);
	x = (struct xfer){ .link = u.link,
			   .op = XFER_WRITE,
			   .bytes = 4096,
			   .remote = u.slot,
			   .buf = ones };
	transport_file.submit(u.channel, &x, 1, after_ms(LONG_MS));
	await_hanging();
	transport_file.link_abort(u.link);
	assert_int_equal(x.status, -ECONNABORTED);
	thread = thread_start(release_disk_soon, NULL);
	transport_file.link_close(u.link);
	assert_int_equal(stuck_disk.hanging, 0);
	assert_true(channel_is_usable(u.channel));
	thread_end(thread);
	transport_file.channel_destroy(u.channel);
	fallback_close(&f);
}

/* As a loop's requests do. */
static void the_end_of_a_transfer_wakes_a_loop(void **state)
{
	static uint8_t ones[4096];
	struct waker waker;
	struct pollfd p = { .events = POLLIN };
	struct fallback f;
	struct user u;
	struct xfer x;

	(void)state;
	assert_int_equal(waker_create(&waker), 0);
	p.fd = waker.fd;
	open_well(&f, 0);
	begin_user(&u, &f);
	u.channel->waker = &waker;
	set_hangs(true);
	x = (struct xfer){ .link = u.link,
			   .op = XFER_WRITE,
			   .bytes = 4096,
			   .remote = u.slot,
			   .buf = ones };
	transport_file.submit(u.channel, &x, 1, after_ms(LONG_MS));
	waker_before_sleep(&waker);
	assert_int_equal(x.status, -EINPROGRESS);
	set_hangs(false);
	assert_int_equal(poll(&p, 1, LONG_MS), 1);
	assert_int_equal(x.status, 0);
	end_user(&u);
	fallback_close(&f);
	waker_destroy(&waker);
}

static void a_file_made_shorter_is_an_error(void **state)
{
	static uint8_t buf[8192];
	struct fallback f;
	struct user u;

	(void)state;
	open_well(&f, 0);
	begin_user(&u, &f);
	assert_int_equal(truncate(path, HEADER + 4096), 0);
	assert_int_equal(move(&u, XFER_READ, buf, 4096, 0, after_ms(LONG_MS)),
			 0);
	assert_int_equal(move(&u, XFER_READ, buf, 8192, 0, after_ms(LONG_MS)),
			 -EREMOTEIO);
	assert_int_equal(file_group_error(f.group), EIO);
	end_user(&u);
	fallback_close(&f);
}

static void *write_and_read(void *arg)
{
	static _Thread_local uint8_t out[SLOT], in[SLOT];
	struct user *u = arg;
	uint64_t seed = u->slot.slab + 1;
	intptr_t wrong = 0;

	for (int i = 0; i < 50; i++) {
		random_fill(&seed, out, sizeof out);
		wrong += move(u, XFER_WRITE, out, SLOT, 0, after_ms(LONG_MS)) !=
			 0;
		wrong +=
			move(u, XFER_READ, in, SLOT, 0, after_ms(LONG_MS)) != 0;
		wrong += memcmp(in, out, SLOT) != 0;
	}
	return (void *)wrong;
}

static void lanes_work_at_the_same_time(void **state)
{
	struct user users[SLOTS];
	pthread_t threads[SLOTS];
	struct fallback f;

	(void)state;
	open_well(&f, 0);
	for (int i = 0; i < SLOTS; i++)
		begin_user(&users[i], &f);
	for (int i = 0; i < SLOTS; i++)
		threads[i] = thread_start(write_and_read, &users[i]);
	for (int i = 0; i < SLOTS; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
		end_user(&users[i]);
	}
	fallback_close(&f);
}

/* --- a block device --- */

/* False where there are no loop devices to be had. */
static bool make_loop(void)
{
	char command[128];
	FILE *pipe;

	snprintf(command, sizeof command,
		 "losetup --find --show %s 2>/dev/null", path);
	pipe = popen(command, "re");
	if (pipe && fgets(loop, sizeof loop, pipe))
		loop[strcspn(loop, "\n")] = '\0';
	if (pipe)
		pclose(pipe);
	return loop[0];
}

static void use_device(const char *name)
{
	static uint8_t page[4096], back[4096];
	uint64_t seed = random_seed();
	struct fallback f;
	struct error why;
	struct user u;

	assert_int_equal(open_of(&f, name, 0, &why), 0);
	assert_int_equal(fallback_total_bytes(&f), 3 * SLOT);
	expect_refused(name, 0, "the device is in use");
	begin_user(&u, &f);
	random_fill(&seed, page, sizeof page);
	assert_int_equal(
		move(&u, XFER_WRITE, page, 4096, 8192, after_ms(LONG_MS)), 0);
	assert_int_equal(
		move(&u, XFER_READ, back, 4096, 8192, after_ms(LONG_MS)), 0);
	assert_memory_equal(back, page, sizeof page);
	end_user(&u);
	fallback_close(&f);
	/* it is rswap's now */
	assert_int_equal(open_of(&f, name, 2 * SLOT, &why), 0);
	assert_int_equal(fallback_total_bytes(&f), 2 * SLOT);
	fallback_close(&f);
}

static void a_block_device_serves_too(void **state)
{
	(void)state;
	write_file("", 1, 4 * SLOT - 1);
	if (!make_loop())
		skip();
	use_device(loop);
	expect_refused(loop, 4 * SLOT, "is more than the 252K that it has");
	end_loop();
	write_file("precious", 8, 4096);
	write_file("\0", 1, 0);
	assert_true(make_loop());
	expect_refused(loop, 0, "holds something that is not rswap's");
}

#define with_path(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_path(a_new_file_is_its_owners_and_has_its_room),
		with_path(a_size_is_kept_to_in_whole_slabs),
		with_path(an_existing_one_keeps_its_size_or_grows),
		with_path(one_of_zeros_is_taken_and_gets_all_its_room),
		with_path(what_holds_something_else_is_refused_untouched),
		with_path(two_at_a_time_are_refused),
		with_path(what_is_no_file_is_refused),
		with_path(one_in_memory_is_refused_and_not_left_behind),
		with_path(less_than_a_slab_is_refused),
		with_path(room_that_is_not_to_be_had_is_told_of),
		with_path(a_file_that_cannot_grow_stays_as_it_was),
		with_path(a_size_beyond_all_files_is_refused),
		with_path(one_that_was_never_opened_can_be_closed),
		with_path(a_slot_is_written_before_its_first_use),
		with_path(slots_are_apart_and_come_back),
		with_path(what_was_written_is_read),
		with_path(chunks_longer_than_a_block_are_read_too),
		with_path(several_transfers_go_in_one_submit),
		with_path(shards_of_blocks_are_refused),
		with_path(nothing_moves_after_an_abort_or_the_deadline),
		with_path(a_disk_that_hangs_holds_no_caller),
		with_path(a_link_is_closed_after_its_last_write),
		with_path(the_end_of_a_transfer_wakes_a_loop),
		with_path(a_file_made_shorter_is_an_error),
		with_path(lanes_work_at_the_same_time),
		with_path(a_block_device_serves_too),
	};

	int rc;

	if (!fallback_dir_make(path))
		return 0;
	rc = cmocka_run_group_tests_name("fallback", tests, NULL, NULL);
	fallback_dir_remove(path);
	return rc;
}
