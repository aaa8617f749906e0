/* A small device for a while, for ping, try and bench: rswap-nbd on a socket in
 * a directory of its own, and a client of it.  No device of the kernel's is
 * involved, and no right beyond a user's.  At its end the front end says
 * good-bye to the servers, which free its memory, and the directory goes. */
#ifndef RSWAPCTL_TRIAL_H
#define RSWAPCTL_TRIAL_H

#include <stdint.h>
#include <sys/types.h>

#include "cmdline.h"
#include "error.h"
#include "keys.h"

struct json_object;
struct nbd_handle;

#define TRIAL_SERVERS_MAX 64
#define TRIAL_PATH_MAX	  80 /* a Unix socket's path has to fit 108 bytes */

/* What the device is like. */
struct trial_order {
	char *servers[TRIAL_SERVERS_MAX];
	int n_servers;
	const char *keys[KEYS]; /* as given, or NULL */
	uint64_t size_bytes;
};

struct trial {
	char dir[TRIAL_PATH_MAX]; /* "" before it is made */
	pid_t pid;		  /* of the front end, or 0 */
	struct nbd_handle *nbd;	  /* or NULL */
};

/* Takes a word of the command line: KEY=VALUE, [server=]HOST[:PORT].  Ends the
 * program where it is wrong. */
void trial_take_word(const struct cmdline *cmdline, struct trial_order *order,
		     char *word);

/* Takes server=, pool= and the other keys from the command line of the front
 * end PID, but for those that two devices cannot share.  The words stay until
 * the program's end.  0 or -1. */
int trial_take_front(struct trial_order *order, pid_t pid, struct error *why);

/* Starts the front end and connects to it.  Ends early on a signal (run.h).  0;
 * or -1, and then there is nothing. */
int trial_begin(const struct trial_order *order, struct trial *trial,
		struct error *why);
void trial_end(struct trial *trial);

/* The front end's status; the caller puts it back.  NULL with WHY. */
struct json_object *trial_status(const struct trial *trial, struct error *why);

#endif
