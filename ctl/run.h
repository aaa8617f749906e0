/* Child processes with a deadline, signals, and looking for processes.  No
 * shell is involved. */
#ifndef RSWAPCTL_RUN_H
#define RSWAPCTL_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

/* From here on SIGINT, SIGTERM and SIGHUP end rswapctl's current wait instead
 * of rswapctl, so that it can undo its steps. */
void run_catch_signals(void);
/* And SIGCONT, with which rswap@.service stops an attach that is at work. */
void run_catch_stop(void);
/* Whether a signal came; and forgetting it. */
bool run_interrupted(void);
void run_forget_signals(void);

/* Runs argv[0] (looked up in PATH), standard input empty, output and errors
 * collected into OUTPUT (SIZE bytes, NUL-terminated, its last whole lines where
 * it is too long; NULL throws it away).  Returns the exit status, or -1 with
 * WHY where it didn't start, was killed, or was not done by DEADLINE_NS (it is
 * killed). */
int run_tool(const char *const argv[], uint64_t deadline_ns, char *output,
	     size_t size, struct error *why);

/* The same for a tool that has to succeed: 0, or -1 with WHY made of the tool's
 * name and last line. */
int run_must(const char *const argv[], uint64_t deadline_ns, struct error *why);

/* What happens while a tool runs, ten times a second or more.  LOOK is called
 * with ABOUT; where it returns false, with WHY, the tool is killed, and that is
 * the tool's error. */
struct run_watch {
	bool (*look)(void *about, struct error *why);
	void *about;
};

int run_must_watched(const char *const argv[], uint64_t deadline_ns,
		     const struct run_watch *watch, struct error *why);

/* Whether PATH has an executable NAME; WHERE (SIZE bytes) takes its path. */
bool run_find(const char *name, char *where, size_t size);

/* A running process whose program is called NAME, or 0.  *START gets its
 * run_start_time.  With ARGUMENT, not NULL, it has that as one of its
 * arguments, and is root's or this process's own user's: any user can give a
 * process a name and arguments. */
pid_t run_find_process(const char *name, const char *argument, uint64_t *start);

/* Another process that has the file PATH open, with its name in NAME (SIZE
 * bytes); 0 if none is visible. */
pid_t run_find_opener(const char *path, char *name, size_t size);

/* The last line of TEXT that isn't empty, in place. */
char *run_last_line(char *text);

/* Sleeps for MS milliseconds, less when a signal comes. */
void run_pause(unsigned ms);

/* Whether a process PID exists that is not a zombie. */
bool run_alive(pid_t pid);

/* When process PID started, in clock ticks since boot; 0 if it doesn't exist.
 * With the pid it names one process for good. */
uint64_t run_start_time(pid_t pid);

#endif
