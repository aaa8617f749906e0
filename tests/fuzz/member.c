/* The value of a memory server's key in a pool, for the address
 * 10.0.0.1:10909 (pool/member.c); an order to it (pool/order.c); and the name
 * of a pool (pool/pool.c). */
#include <string.h>

#include "fuzz.h"
#include "member.h"
#include "order.h"
#include "pool.h"

static char *write_member(const struct member *m)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	REQUIRE(out);
	member_write(m, out);
	REQUIRE(!fclose(out));
	return text;
}

/* What is taken is written, and then taken as the same. */
static void check_member(const struct member *m)
{
	char *text = write_member(m);
	struct member again;
	struct error why;

	REQUIRE(m->transports && m->slab_bytes && *m->state);
	REQUIRE(m->free_bytes <= m->memory_bytes);
	REQUIRE(m->load_permille <= 1000);
	REQUIRE(!member_parse("10.0.0.1:10909", text, &again, &why));
	REQUIRE(!memcmp(m, &again, sizeof again));
	free(text);
}

static void check_pool(const struct pool *pool)
{
	const struct etcd_config *etcd = &pool->etcd;

	REQUIRE(*pool->name && strlen(pool->name) < sizeof pool->name);
	REQUIRE(etcd->n_endpoints >= 1 &&
		etcd->n_endpoints <= ETCD_ENDPOINTS_MAX);
	for (unsigned i = 0; i < etcd->n_endpoints; i++)
		REQUIRE(*etcd->endpoints[i].host && etcd->endpoints[i].port);
}

static void check_order(const struct order *order)
{
	char text[256] = "";
	FILE *out = fmemopen(text, sizeof text, "w");
	struct order again;
	struct error why;

	REQUIRE(out);
	order_write(order, out);
	REQUIRE(!fclose(out));
	REQUIRE(!order_parse(text, &again, &why));
	REQUIRE(again.kind == order->kind &&
		!memcmp(again.incarnation, order->incarnation,
			sizeof again.incarnation));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size);
	struct member member;
	struct order order;
	struct pool pool = { 0 };
	struct error why = { "" };

	if (!member_parse("10.0.0.1:10909", text, &member, &why))
		check_member(&member);
	else
		REQUIRE(*why.text);
	why = (struct error){ "" };
	if (!order_parse(text, &order, &why))
		check_order(&order);
	else
		REQUIRE(*why.text);
	if (pool_set_url(&pool, text))
		check_pool(&pool);
	free(text);
	return 0;
}
