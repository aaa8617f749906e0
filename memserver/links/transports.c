#include "transports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "rdma.h"
#include "tcp.h"

static const struct link_ops *const transports[] = { &tcp_link_ops,
						     &rdma_link_ops };

#define N_TRANSPORTS (sizeof transports / sizeof transports[0])

const struct link_ops *transport_at(size_t i)
{
	return i < N_TRANSPORTS ? transports[i] : NULL;
}

const struct link_ops *transport_by_bit(uint32_t bit)
{
	for (size_t i = 0; i < N_TRANSPORTS; i++) {
		if (transports[i]->wire_bit == bit)
			return transports[i];
	}
	return NULL;
}

const struct link_ops *transport_by_name(const char *name)
{
	for (size_t i = 0; i < N_TRANSPORTS; i++) {
		if (!strcmp(transports[i]->name, name))
			return transports[i];
	}
	return NULL;
}

const struct link_ops *transports_adopter(const struct links *links)
{
	for (size_t i = 0; i < N_TRANSPORTS; i++) {
		if (links->open & transports[i]->wire_bit &&
		    transports[i]->adopt)
			return transports[i];
	}
	return NULL;
}

int transports_open(struct links *links, const struct link_ops *only,
		    struct error *why)
{
	struct error detail;

	links->open = 0;
	for (size_t i = 0; i < N_TRANSPORTS; i++) {
		const struct link_ops *ops = transports[i];
		int err = only && only != ops ? -ENODEV
					      : ops->open(links, &detail);

		if (!err) {
			links->open |= ops->wire_bit;
		} else if (only == ops) {
			error_set(why, "--transport=%s: %.200s", ops->name,
				  detail.text);
			return err;
		} else if (!only && ops->adopt) {
			*why = detail;
			return err;
		}
	}
	return 0;
}

int transports_listen(struct links *links, const struct link_ops *only,
		      const struct net_addr *addr, struct link_offer *offer,
		      struct error *why)
{
	struct error detail;

	*offer = (struct link_offer){ .transports = 0 };
	for (size_t i = 0; i < N_TRANSPORTS; i++) {
		const struct link_ops *ops = transports[i];
		int err = 0;

		if (!(links->open & ops->wire_bit))
			continue;
		if (ops->listen)
			err = ops->listen(links, addr, offer, &detail);
		if (!err) {
			offer->transports |= ops->wire_bit;
		} else if (only) {
			error_set(why, "--transport=%s: %.200s", ops->name,
				  detail.text);
			return err;
		} else if (err != -ENODEV) {
			log_error("%s; this address is served without %s",
				  detail.text, ops->name);
		}
	}
	return 0;
}

void transports_close(struct links *links, uint32_t keep)
{
	for (size_t i = 0; i < N_TRANSPORTS; i++) {
		const struct link_ops *ops = transports[i];

		if (links->open & ops->wire_bit & ~keep)
			ops->close(links);
	}
	links->open &= keep;
}

const char *transports_names(uint32_t bits, const char *separator,
			     char names[TRANSPORTS_NAMES_BYTES])
{
	size_t used = 0;

	names[0] = '\0';
	for (size_t i = 0; i < N_TRANSPORTS; i++) {
		if (bits & transports[i]->wire_bit &&
		    used < TRANSPORTS_NAMES_BYTES)
			used += (size_t)snprintf(names + used,
						 TRANSPORTS_NAMES_BYTES - used,
						 "%s%s", used ? separator : "",
						 transports[i]->name);
	}
	return names;
}
