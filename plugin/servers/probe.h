/* Asks several memory servers at the same time what they are, before there is
 * an engine: of a pool's servers some may be silent, and a start that waited
 * for one after the other would take as long as all of them. */
#ifndef RSWAP_PROBE_H
#define RSWAP_PROBE_H

#include <stdint.h>

#include "core.h"

struct probe_answer {
	int rc; /* 0, or a negative errno with WHY */
	struct wire_welcome welcome;
	struct error why;
};

/* Fills ANSWERS[N], each by session_probe of SERVERS[i] with the transport and
 * TLS of CONFIG.  Returns when all have answered, or at DEADLINE_NS, but that a
 * name service may take longer.  Blocks; has threads of its own meanwhile. */
void probe_servers(const struct engine_config *config,
		   const struct net_name *servers, uint32_t n,
		   uint64_t deadline_ns, struct probe_answer *answers);

#endif
