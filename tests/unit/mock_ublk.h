/* Stand-ins for liburing and for the kernel's ublk driver behind it: one device
 * with one queue, whose requests the test sends.  In the test's thread. */
#ifndef RSWAP_TEST_MOCK_UBLK_H
#define RSWAP_TEST_MOCK_UBLK_H

#include "support.h"
#include "ublk/control.h"
#include "ublk/kernel.h"

#define MOCK_DEPTH    8u
#define MOCK_COMMANDS 16u

struct mock_tag {
	bool fetched;  /* the driver has it */
	bool answered; /* since the last request */
	int32_t result;
	bool reads; /* the request is a READ, of BYTES */
	uint32_t bytes;
	uint64_t addr;
	char data[4 * 4096]; /* what was read */
};

/* A command to the control device. */
struct mock_command {
	uint32_t op;
	struct ublk_control_command command;
	char argument[CONTROL_ARGUMENT_BYTES];
};

struct mock_ublk {
	int char_fd; /* what /dev/ublkcN maps */
	struct mock_tag tags[MOCK_DEPTH];
	unsigned fetches, enters;
	unsigned submits_fail;	    /* the next ones: no memory */
	unsigned waits_interrupted; /* the next ones for a command */
	int fetch_result;	  /* 0, or what each FETCH ends with at once */
	unsigned answers_refused; /* the next ones, */
	int refusal;		  /* with this */

	struct mock_command commands[MOCK_COMMANDS];
	unsigned n_commands;
	/* Decides how a command ends, and may change what is at its address:
	 * MOCK_NEVER if it does not end. */
	int (*control)(const struct mock_command *command, void *argument);
	int timeout_fd; /* the queue's io_timeout */
	bool read_only; /* it cannot be set */
	bool in_use;	/* nobody can claim the block device */
	bool char_open; /* another process has /dev/ublkcN open */
	unsigned rings;
};

#define MOCK_NEVER INT32_MAX

extern struct mock_ublk mock;

/* A device without requests. */
void mock_start(void);
void mock_stop(void);

/* Sends a request with TAG, which the driver has.  DATA: of a WRITE. */
void mock_request(uint16_t tag, uint32_t op, uint64_t sector, uint32_t sectors,
		  const void *data);
/* The device ends: all tags that the driver has are over. */
void mock_abort(void);

/* Lets the command that did not end (MOCK_NEVER) end with RESULT. */
void mock_end_late(unsigned command, int result);

#endif
