#include "replies.h"

void replies_init(struct replies *replies, const struct host *host,
		  const struct nbd_terms *terms)
{
	*replies = (struct replies){ .host = host,
				     .terms = terms,
				     .last = &replies->first };
}

/* --- making --- */

static void add(struct replies *replies, struct slot *slot)
{
	slot->next = NULL;
	*replies->last = slot;
	replies->last = &slot->next;
}

/* Whether the reply has to be structured: NBD allows a simple one where there
 * is no content. */
static bool is_structured(const struct replies *replies,
			  const struct slot *slot)
{
	return replies->terms->structured &&
	       (slot->request.command == NBD_CMD_READ ||
		slot->request.command == NBD_CMD_BLOCK_STATUS);
}

void replies_add_error(struct replies *replies, struct slot *slot,
		       enum nbd_error error)
{
	uint64_t cookie = slot->request.cookie;

	slot->data_bytes = 0;
	if (!is_structured(replies, slot)) {
		slot->head_bytes =
			(uint32_t)nbd_encode_simple(slot->head, error, cookie);
	} else {
		slot->head_bytes = (uint32_t)nbd_encode_chunk(
			slot->head, NBD_CHUNK_ERROR, cookie, 6);
		nbd_put16(nbd_put32(slot->head + slot->head_bytes, error), 0);
		slot->head_bytes += 6;
	}
	add(replies, slot);
}

void replies_add_read(struct replies *replies, struct slot *slot)
{
	const struct nbd_request *r = &slot->request;

	slot->data_bytes = r->count;
	if (!is_structured(replies, slot)) {
		slot->head_bytes =
			(uint32_t)nbd_encode_simple(slot->head, 0, r->cookie);
	} else {
		slot->head_bytes = (uint32_t)nbd_encode_chunk(
			slot->head, NBD_CHUNK_OFFSET_DATA, r->cookie,
			8 + r->count);
		nbd_put64(slot->head + slot->head_bytes, r->offset);
		slot->head_bytes += 8;
	}
	add(replies, slot);
}

void replies_add_extents(struct replies *replies, struct slot *slot,
			 uint32_t bytes)
{
	slot->data_bytes = bytes;
	slot->head_bytes =
		(uint32_t)nbd_encode_chunk(slot->head, NBD_CHUNK_BLOCK_STATUS,
					   slot->request.cookie, bytes);
	add(replies, slot);
}

/* --- sending --- */

size_t replies_gather(const struct replies *replies,
		      struct iovec iov[REPLIES_IOV])
{
	size_t skip_bytes = replies->sent, n = 0;

	for (struct slot *s = replies->first; s && n < 2 * REPLIES_OF_SEND;
	     s = s->next) {
		if (skip_bytes < s->head_bytes)
			iov[n++] = (struct iovec){ s->head + skip_bytes,
						   s->head_bytes - skip_bytes };
		skip_bytes = skip_bytes > s->head_bytes
				     ? skip_bytes - s->head_bytes
				     : 0;
		if (s->data_bytes)
			iov[n++] = (struct iovec){ s->buffer + skip_bytes,
						   s->data_bytes - skip_bytes };
		skip_bytes = 0;
	}
	return n;
}

void replies_sent(struct replies *replies, size_t bytes)
{
	replies->sent += bytes;
	while (replies->first) {
		struct slot *s = replies->first;
		size_t all = s->head_bytes + s->data_bytes;

		if (replies->sent < all)
			return;
		replies->sent -= all;
		replies->first = s->next;
		if (!replies->first)
			replies->last = &replies->first;
		host_put_slot(replies->host, s);
	}
}

void replies_drop(struct replies *replies)
{
	while (replies->first) {
		struct slot *s = replies->first;

		replies->first = s->next;
		host_put_slot(replies->host, s);
	}
	replies->last = &replies->first;
	replies->sent = 0;
}
