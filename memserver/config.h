/* The command line, checked. */
#ifndef RSWAP_MEMSERVER_CONFIG_H
#define RSWAP_MEMSERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "cmdline.h"
#include "error.h"
#include "net.h"
#include "wire.h"

#define CONFIG_LISTEN_MAX 16

enum config_transport {
	CONFIG_AUTO, /* RDMA where an address has it, TCP always */
	CONFIG_RDMA, /* RDMA lanes only; refuse to start without */
	CONFIG_TCP,  /* RDMA is never touched */
};

/* The strings belong to argv. */
struct config {
	uint64_t memory_asked_bytes; /* as written */
	uint64_t memory_bytes;	     /* in whole slabs */
	uint64_t slab_bytes;
	struct net_name listen[CONFIG_LISTEN_MAX];
	unsigned listen_count; /* 1 or more */
	enum config_transport transport;
	bool hugepages;
	unsigned threads; /* of TCP lanes */
	unsigned max_sessions;
	unsigned stock;	  /* slabs kept ready */
	unsigned grace_s; /* a session outlives its control connection */
	unsigned reclaim_percent;   /* of memory pressure; 0: never mind */
	const char *psi_path;	    /* where the kernel tells that */
	char zone[WIRE_ZONE_BYTES]; /* may be empty */
	const char *port_file;
	const char *pidfile;
	const char *control;
};

/* Reads all options, and nothing else: no file, no name service.  ARGV is as
 * cmdline_parse leaves it.  One thread at a time, and any number of times. */
enum cmdline_verdict config_parse(int argc, char **argv, struct config *config,
				  struct cmdline_error *why);

/* Prints the answer to --help. */
void config_help(void);

/* "auto", "rdma" or "tcp" */
const char *config_transport_name(enum config_transport transport);

#endif
