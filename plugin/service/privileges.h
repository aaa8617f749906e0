/* What this process may do beyond serving pages, and gives up before it serves.
 */
#ifndef RSWAP_PRIVILEGES_H
#define RSWAP_PRIVILEGES_H

/* Gives up all capabilities for good, of this thread and of those that it
 * starts.  Locked memory and real-time priority need limits from then on: both
 * are raised before.  If one cannot be raised, its capability stays
 * (CAP_IPC_LOCK, CAP_SYS_NICE).
 *
 * The process leaves no core dump, and no process without CAP_SYS_PTRACE reads
 * its memory: pages and their key are there.
 *
 * After safety_apply, and before any thread but the log's is started. */
void privileges_give_up(void);

#endif
