/* doctor: a list of checks, each of which prints its findings. */
#ifndef RSWAPCTL_DOCTOR_H
#define RSWAPCTL_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "finding.h"

enum found {
	FOUND_OK,
	FOUND_WARN, /* works, but worse, or not everything */
	FOUND_FAIL, /* rswap can't work, or not safely */
};

/* The roles of a machine.  Each finding concerns one of them, or both. */
enum role { ROLE_SERVER, ROLE_COMPUTE, N_ROLES };

/* The roles, as bits, that the current check concerns; and for each role the
 * number of findings so far that are FOUND_FAIL. */
extern unsigned doctor_concerned, doctor_failures[N_ROLES];

/* Prints one line: the finding, WHAT was checked, its state, and after "->" the
 * REMEDY (NULL: none). */
__attribute__((format(printf, 4, 5))) void doctor_tell(enum found found,
						       const char *what,
						       const char *remedy,
						       const char *format, ...);

/* The same for a finding, which has a code, and an action in the place of the
 * remedy.  A finding that is HEALTH_BAD is FOUND_FAIL.  ARG is WHAT was
 * checked; a finding_tell. */
void doctor_tell_finding(void *arg, const struct finding *finding);
__attribute__((format(printf, 3, 4))) void
doctor_find(const char *what, enum finding_code code, const char *format, ...);

/* RDMA devices (doctor_rdma.c), and whether what runs has its memory at NODE,
 * where the RDMA device DEVICE is (doctor_numa.c). */
void doctor_rdma(void);
void doctor_numa(const char *device, int64_t node);

/* Huge pages; groups whose memory.swap.max limits swap; and whether a group of
 * process PID has a limit of memory below the machine's, told of as WHAT
 * (doctor_groups.c). */
void doctor_huge_pages(void);
void doctor_group_swap(void);
void doctor_group_memory(pid_t pid, const char *what);

/* The checks of this machine (doctor_local.c). */
void doctor_limits(void);
void doctor_scheduling(void);
void doctor_memory(void);
void doctor_tools(void);

/* Prints the kernel's memory settings, and sets them if WANTS_APPLY.  The exit
 * status (doctor_tune.c). */
int doctor_tune(bool wants_apply);

/* The front end that attach --front=NAME would take, with a PLUGIN or NULL
 * (doctor_front.c). */
void doctor_front(const char *name, const char *plugin);

/* The attached devices (doctor_attached.c).  True if swap is on at a device
 * that no plugin serves. */
bool doctor_attached(void);

/* Greets a memory server as a plugin does, by TLS unless TLS is NULL, and
 * checks its answer. */
struct tls_context;
void doctor_server(const char *server, const struct tls_context *tls);

#endif
