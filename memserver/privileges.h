/* What this process may do beyond its work, and gives up before it serves: the
 * user that started it, capabilities, core dumps. */
#ifndef RSWAP_MEMSERVER_PRIVILEGES_H
#define RSWAP_MEMSERVER_PRIVILEGES_H

#include <stdbool.h>

#include "config.h"
#include "error.h"

/* Takes what needs a privilege (OOM score, limit of locked memory), becomes the
 * user config->user, and gives up all capabilities.  CAP_IPC_LOCK stays if the
 * limit of locked memory could not be lifted.  From here on the process leaves
 * no core dump, and no process of its user reads its memory.
 *
 * Before any thread is started: capabilities are a thread's.  False and WHY,
 * which names the option, if the user is not as it has to be. */
bool privileges_drop(const struct config *config, struct error *why);

/* Logs what privileges_drop could not have, and that the server runs as root.
 */
void privileges_tell(const struct config *config);

#endif
