#include "rdma_domain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

struct region {
	struct ibv_mr *mr;
	struct link_domain *domain;
};

/* The error of a verbs call that has just returned NULL.  Not every provider
 * sets errno. */
static int null_error(void)
{
	return errno ? errno : EIO;
}

static void domain_free(struct link_domain *domain)
{
	int err;

	if (domain->cq && (err = ibv_destroy_cq(domain->cq)))
		log_error("ibv_destroy_cq: %s", strerror(err));
	if (domain->pd && (err = ibv_dealloc_pd(domain->pd)))
		log_error("ibv_dealloc_pd: %s", strerror(err));
	free(domain);
}

struct link_domain *rdma_domain_new(struct ibv_context *verbs,
				    struct error *why)
{
	struct link_domain *domain = calloc(1, sizeof *domain);
	struct ibv_device_attr attr;
	const char *call = "calloc";
	int err = ENOMEM;

	if (domain) {
		call = "ibv_query_device";
		err = ibv_query_device(verbs, &attr);
	}
	if (!err) {
		call = "ibv_alloc_pd";
		domain->pd = ibv_alloc_pd(verbs);
		err = domain->pd ? 0 : null_error();
	}
	if (!err) {
		call = "ibv_create_cq";
		domain->cq = ibv_create_cq(verbs, 1, NULL, NULL, 0);
		err = domain->cq ? 0 : null_error();
	}
	if (err) {
		error_set(why, "%s: %s", call, strerror(err));
		if (domain)
			domain_free(domain);
		return NULL;
	}
	domain->verbs = verbs;
	/* rdma_cm has one byte for the limit of a queue pair. */
	domain->max_reads = attr.max_qp_rd_atom > UINT8_MAX
				    ? UINT8_MAX
				    : (uint8_t)attr.max_qp_rd_atom;
	atomic_init(&domain->users, 1);
	return domain;
}

void rdma_domain_put(struct link_domain *domain)
{
	if (atomic_fetch_sub_explicit(&domain->users, 1,
				      memory_order_acq_rel) == 1)
		domain_free(domain);
}

/* Preparing thread. */
static int unregister(void *arg)
{
	struct region *region = arg;
	int err = ibv_dereg_mr(region->mr);

	if (err) {
		log_error("ibv_dereg_mr: %s", strerror(err));
		return -err;
	}
	rdma_domain_put(region->domain);
	free(region);
	return 0;
}

/* A client addresses the slab from 0 on, so that it learns no address of this
 * process. */
int rdma_slab_register(struct link_domain *domain, struct slab *slab)
{
	struct region *region = malloc(sizeof *region);
	int err = ENOMEM;

	if (region) {
		region->domain = domain;
		region->mr = ibv_reg_mr_iova(
			domain->pd, slab->memory, slab->pool->slab_bytes, 0,
			IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
				IBV_ACCESS_REMOTE_WRITE);
		err = region->mr ? 0 : null_error();
	}
	if (err) {
		log_error("ibv_reg_mr_iova of slab %u: %s%s", slab->number,
			  strerror(err),
			  err == ENOMEM ? ": raise the limit of locked memory "
					  "(LimitMEMLOCK=, ulimit -l)"
					: "");
		free(region);
		return -err;
	}
	atomic_fetch_add_explicit(&domain->users, 1, memory_order_relaxed);
	slab->region = region;
	slab->unregister = unregister;
	return 0;
}

void rdma_slab_locate(const struct slab *slab, struct wire_slab *where)
{
	const struct region *region = slab->region;

	where->rkey = region->mr->rkey;
}
