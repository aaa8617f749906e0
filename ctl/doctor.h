/* doctor: a list of checks, each of which prints its findings. */
#ifndef RSWAPCTL_DOCTOR_H
#define RSWAPCTL_DOCTOR_H

#include <stdbool.h>

enum finding {
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
__attribute__((format(printf, 4, 5))) void doctor_tell(enum finding finding,
						       const char *what,
						       const char *remedy,
						       const char *format, ...);

/* The checks of this machine (doctor_local.c). */
void doctor_nbd(void);
void doctor_rdma(void);
void doctor_limits(void);
void doctor_scheduling(void);
void doctor_memory(void);
void doctor_tools(const char *plugin);

/* The attached devices (doctor_attached.c).  True if swap is on at a device
 * that no plugin serves. */
bool doctor_attached(void);

/* Greets a memory server as a plugin does, by TLS unless TLS is NULL, and
 * checks its answer. */
struct tls_context;
void doctor_server(const char *server, const struct tls_context *tls);

#endif
