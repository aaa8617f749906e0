#include "requests.h"

#include <errno.h>
#include <string.h>

#include "engine.h"
#include "log.h"
#include "service/aligned.h"

/* Extents of one reply, which fit a small buffer, and how much of the device
 * one request looks at: other clients wait while the loop looks at so many
 * pages, for each of up to SLOTS requests. */
#define EXTENTS_MAX  ((SLOT_SMALL_BYTES - 4) / 8)
#define EXTENT_BYTES (UINT64_C(64) << 20)

void requests_init(struct requests *q, const struct host *host,
		   const struct nbd_terms *terms, struct replies *replies)
{
	q->host = host;
	q->terms = terms;
	q->replies = replies;
}

void requests_drop(struct requests *q)
{
	if (q->filling)
		host_put_slot(q->host, q->filling);
	if (q->refused)
		host_put_slot(q->host, q->refused);
	q->filling = q->refused = NULL;
}

/* --- running --- */

static enum nbd_error error_of(int rc)
{
	return rc == 0 ? 0 : rc == -ENOSPC ? NBD_ENOSPC : NBD_EIO;
}

/* The loop calls this. */
static void done(struct loop_request *run)
{
	struct slot *slot = (struct slot *)run;
	struct requests *q = slot->requests;

	/* The connection stays busy, and so open, until the process ends.  The
	 * loop goes on, because the end waits for the other requests. */
	if (run->rc && q->host->is_forced())
		return;
	q->busy--;
	if (run->rc || run->op != LOOP_READ)
		replies_add_error(q->replies, slot, error_of(run->rc));
	else
		replies_add_read(q->replies, slot);
}

static void run(struct requests *q, struct slot *slot, enum loop_op op)
{
	slot->run = (struct loop_request){
		.op = op,
		.buf = slot->buffer,
		.count = slot->request.count,
		.offset = slot->request.offset,
		.done = done,
	};
	q->busy++;
	loop_submit(q->host->loop, &slot->run);
}

/* Extents are whole pages, also where the range of the request is not.  The
 * device's size is a multiple of a page. */
static void reply_extents(struct requests *q, struct slot *slot)
{
	const struct nbd_request *r = &slot->request;
	uint64_t at = r->offset & ~(uint64_t)(PAGE_BYTES - 1);
	uint64_t end = r->offset + r->count, begin = r->offset;
	uint64_t last = end;
	uint32_t max = r->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : EXTENTS_MAX, n = 0;
	uint8_t *out = nbd_put32(slot->buffer, 1 /* the context */);

	if (end - at > EXTENT_BYTES)
		last = end = at + EXTENT_BYTES;
	end = (end + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	while (at < end && n < max) {
		bool absent;
		uint64_t bytes =
			engine_extent(q->host->engine, end - at, at, &absent);

		at += bytes;
		out = nbd_put32(out,
				(uint32_t)((at < last ? at : last) - begin));
		out = nbd_put32(out,
				absent ? NBD_EXTENT_HOLE | NBD_EXTENT_ZERO : 0);
		begin = at;
		n++;
	}
	replies_add_extents(q->replies, slot, (uint32_t)(out - slot->buffer));
}

static void tell_refused(const struct nbd_request *r, const char *why)
{
	log_error("%s of %u bytes at %llu refused: %s",
		  nbd_command_name(r->command), r->count,
		  (unsigned long long)r->offset, why);
}

/* Refuses what the device cannot serve. */
static enum nbd_error check(const struct requests *q,
			    const struct nbd_request *r)
{
	const char *what;
	enum nbd_error error =
		nbd_check_request(r, q->terms, q->host->size, &what);

	if (error) {
		tell_refused(r, what);
		return error;
	}
	if (r->command == NBD_CMD_FLUSH || r->command == NBD_CMD_BLOCK_STATUS)
		return 0;
	return aligned(nbd_command_name(r->command), r->count, r->offset)
		       ? 0
		       : NBD_EINVAL;
}

/* A request that is there as a whole, a WRITE with its bytes. */
static void begin(struct requests *q, struct slot *slot)
{
	struct engine *engine = q->host->engine;

	switch ((enum nbd_command)slot->request.command) {
	case NBD_CMD_READ:
		run(q, slot, LOOP_READ);
		break;
	case NBD_CMD_WRITE:
		run(q, slot, LOOP_WRITE);
		break;
	case NBD_CMD_TRIM:
		engine_count(engine, ENGINE_TRIMS, 1);
		run(q, slot, LOOP_DISCARD);
		break;
	case NBD_CMD_WRITE_ZEROES:
		/* NBD calls NO_HOLE a hint, so the pages become absent. */
		engine_count(engine, ENGINE_ZEROES, 1);
		run(q, slot, LOOP_DISCARD);
		break;
	case NBD_CMD_BLOCK_STATUS:
		reply_extents(q, slot);
		break;
	case NBD_CMD_FLUSH:
		/* What is acknowledged is on the servers. */
	case NBD_CMD_DISC:
	case NBD_CMD_CACHE:
		replies_add_error(q->replies, slot, 0);
		break;
	}
}

static bool moves_bytes(const struct nbd_request *r)
{
	return r->command == NBD_CMD_READ || r->command == NBD_CMD_WRITE;
}

/* Takes bytes of a WRITE that are in the input buffer already, and begins the
 * WRITE once it has all. */
static void fill(struct requests *q)
{
	uint32_t have = q->in_end - q->in_at;
	uint32_t left = q->filling->request.count - q->filled;
	uint32_t n = have < left ? have : left;

	memcpy(q->filling->buffer + q->filled, q->in + q->in_at, n);
	q->filled += n;
	q->in_at += n;
	if (n < left)
		return;
	begin(q, q->filling);
	q->filling = NULL;
}

void requests_give_up(struct requests *q, const char *why)
{
	log_error("a client's connection is closed: %s", why);
	q->ended = true;
}

/* A slot for the request, or NULL where it has to wait for one.  Where ERROR is
 * not 0, or becomes so, the request is refused, and needs no buffer. */
static struct slot *get_slot(struct requests *q, const struct nbd_request *r,
			     enum nbd_error *error)
{
	struct slots *slots = q->host->slots;
	uint32_t bytes = !*error && moves_bytes(r) ? r->count : 0;
	struct slot *slot;
	int rc = slots_get(slots, &q->client, bytes, &slot);

	if (rc == -ENOMEM) {
		/* No slot that others give back would help. */
		tell_refused(r, "there is no memory for its buffer");
		*error = NBD_ENOMEM;
		rc = slots_get(slots, &q->client, 0, &slot);
	}
	q->maps = rc == -EINPROGRESS;
	return rc ? NULL : slot;
}

/* Takes one request from the input buffer.  False where there is no whole one,
 * or no slot for it. */
static bool take_request(struct requests *q)
{
	struct nbd_request r;
	enum nbd_error error;
	struct slot *slot;

	if (q->in_end - q->in_at < NBD_REQUEST_BYTES)
		return false;
	if (!nbd_decode_request(q->in + q->in_at, &r)) {
		requests_give_up(q, "no magic number in front of a request");
		return false;
	}
	if (r.command == NBD_CMD_DISC) {
		q->ended = true;
		return false;
	}
	error = check(q, &r);
	slot = get_slot(q, &r, &error);
	q->starved = !slot;
	if (!slot)
		return false;
	q->in_at += NBD_REQUEST_BYTES;
	slot->requests = q;
	slot->request = r;
	if (error) {
		q->refused = slot;
		q->error = error;
		q->skip = nbd_has_payload(&r) ? r.count : 0;
	} else if (nbd_has_payload(&r)) {
		q->filling = slot;
		q->filled = 0;
	} else {
		begin(q, slot);
	}
	return true;
}

static void refuse(struct requests *q)
{
	uint32_t have = q->in_end - q->in_at;
	uint32_t n = q->skip < have ? q->skip : have;

	q->skip -= n;
	q->in_at += n;
	if (q->skip)
		return;
	replies_add_error(q->replies, q->refused, q->error);
	q->refused = NULL;
}

void requests_take(struct requests *q)
{
	bool more = true;

	while (more && !q->ended) {
		if (q->refused)
			refuse(q);
		else if (q->filling)
			fill(q);
		if (requests_await_bytes(q))
			return; /* all input is used */
		more = take_request(q);
	}
}

/* --- input --- */

size_t requests_room(struct requests *q, struct iovec iov[2])
{
	uint32_t rest = q->in_end - q->in_at;
	size_t n = 0;

	if (q->in_at && rest)
		memmove(q->in, q->in + q->in_at, rest);
	q->in_at = 0;
	q->in_end = rest;
	if (q->filling)
		iov[n++] =
			(struct iovec){ q->filling->buffer + q->filled,
					q->filling->request.count - q->filled };
	if (rest < REQUESTS_IN_BYTES)
		iov[n++] = (struct iovec){ q->in + rest,
					   REQUESTS_IN_BYTES - rest };
	return n;
}

void requests_received(struct requests *q, size_t bytes)
{
	if (q->filling) {
		size_t left = q->filling->request.count - q->filled;
		size_t n = bytes < left ? bytes : left;

		q->filled += (uint32_t)n;
		bytes -= n;
	}
	q->in_end += (uint32_t)bytes;
}
