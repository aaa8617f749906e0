/* The sub-commands of rswapctl.  Each gets its own arguments, with its name in
 * argv[0], and returns the exit status. rswapctl is a single thread. */
#ifndef RSWAPCTL_CMD_H
#define RSWAPCTL_CMD_H

enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1,  /* bad arguments, or something didn't work */
	EXIT_NOTHING = 2, /* status, events: nothing is running */
	EXIT_NO_ANSWER =
		3, /* status, events: something runs and doesn't answer */
	EXIT_TROUBLE = 4,   /* status: lost pages, or a server isn't up */
	EXIT_DEAD_SWAP = 5, /* swap is on, and no plugin serves its device */
	EXIT_LOST = 2,	    /* detach: it is detached, and pages are lost */
	EXIT_DEGRADED = 1,  /* check */
	EXIT_BAD = 2,	    /* check: pages are lost, or it isn't running */
};

int cmd_attach(int argc, char **argv);
int cmd_detach(int argc, char **argv);
int cmd_drain(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_scrub(int argc, char **argv);
int cmd_ping(int argc, char **argv);
int cmd_try(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_pool(int argc, char **argv);
int cmd_genkey(int argc, char **argv);

#endif
