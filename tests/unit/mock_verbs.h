/* Stand-ins for the functions of libibverbs and librdmacm that the RDMA
 * transport and the memory server call: a device without a network.  A work
 * request is carried out by a copy, to and from `mock.remote`, in which its
 * remote address is an offset.
 *
 * Any call can be made to fail, and everything that is made is counted, so that
 * a test sees what was not given back. */
#ifndef RSWAP_TEST_MOCK_VERBS_H
#define RSWAP_TEST_MOCK_VERBS_H

#include "support.h"

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#define MOCK_DEVICES 5
#define MOCK_READS   16	    /* at a time, each way, that a device can */
#define MOCK_RKEY    0x5eed /* of the first registration; then it counts up */
#define MOCK_PORT    4711   /* of a listener */

/* What comes of a step of connecting; all zero: what should. */
struct mock_answer {
	bool silent;
	bool other; /* EVENT instead */
	enum rdma_cm_event_type event;
	int status;
	const void *private_data;
	uint8_t private_data_bytes;
};

enum mock_step {
	MOCK_ADDR,
	MOCK_ROUTE,
	MOCK_CONNECT,
	MOCK_REQUEST, /* a client connects to the listener */
	MOCK_HANG_UP, /* a client that was accepted goes */
	MOCK_STEPS
};

/* What a registration asked for. */
struct mock_mr {
	const struct ibv_pd *pd;
	uint64_t iova;
	size_t length;
	int access;
	uint32_t rkey; /* its answer */
};

struct mock_verbs {
	/* Once FAIL_AFTER calls of it went well, the call of that name fails,
	 * for as long as FAIL is set. */
	const char *fail;
	const char *fail_too; /* another call, at once */
	int fail_errno;
	unsigned fail_after;

	/* Called by ibv_alloc_pd, on the caller's thread. */
	void (*in_alloc_pd)(void);

	struct mock_answer answer[MOCK_STEPS];
	unsigned device;	/* that the next address is reached through */
	bool no_devices;	/* in the list of them */
	bool hold;		/* work waits for mock_finish */
	bool finish_on_arm;	/* held work is done just before arming */
	bool no_flush;		/* the error state ends nothing */
	bool no_memory;		/* for the events of completions */
	_Atomic bool keeps_ids; /* rdma_destroy_id waits */
	unsigned bad_at;	/* of the work to come, counted from 1: it */
	enum ibv_wc_status bad_status; /* ends with this; 0: none does */

	char *remote; /* the slab that work requests read and write */

	/* What exists. */
	int lists, cm_channels, ids, cm_events, qps, pds, mrs, channels, cqs;
	/* What may not be: something freed under its user, an event that is
	 * not acknowledged. */
	atomic_uint wrong;

	/* What was asked for. */
	struct rdma_conn_param param;
	char private_data[256];
	struct sockaddr_storage addr;
	struct ibv_qp_init_attr qp_attr;
	int cq_entries;
	bool env_set; /* for libibverbs, when it was called first */
	struct mock_mr last_mr;
	unsigned registered;
	unsigned posts, last_chain, signalled, to_error, polls;
	unsigned arms[MOCK_DEVICES]; /* of completion queues */

	/* The server's side. */
	struct rdma_cm_id *listener;
	struct rdma_cm_id *accepted; /* the last */
	unsigned accepts, rejects;
	atomic_uint qp_destroys; /* tried */
	char refusal[256];	 /* the private data of the last rejection */
	uint8_t refusal_bytes;
};

extern struct mock_verbs mock;

/* All as new. */
void mock_reset(void);
/* DEVICE is neither InfiniBand's nor RoCE's. */
void mock_is_iwarp(unsigned device);
/* Carries out all work that is held.  Any thread. */
void mock_finish(void);
/* A client comes in at the listener, on mock.device, and sends DATA with its
 * request; the client that was accepted last goes. */
void mock_request(const void *data, uint8_t bytes);
void mock_hang_up(void);
/* Of the memory that was registered last.  Any thread. */
uint32_t mock_last_rkey(void);
/* Asserts that everything was given back, and nothing done wrong. */
void assert_nothing_left(void);

#endif
