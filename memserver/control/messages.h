/* What each message of a control connection does.  Main loop. */
#ifndef RSWAP_MEMSERVER_MESSAGES_H
#define RSWAP_MEMSERVER_MESSAGES_H

#include "answer.h"

/* Does what M asks for, but for JOIN.  C still exists afterwards. */
void messages_handle(struct control *c, const struct wire_message *m);

#endif
