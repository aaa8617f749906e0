/* In place of the memory server's control.c: connections that only note what
 * they are told to send. */
#ifndef RSWAP_TEST_FAKE_CONTROL_H
#define RSWAP_TEST_FAKE_CONTROL_H

#include "control/control.h"

/* How many replies there were, and the last of them. */
extern unsigned replies;
extern struct wire_message last_reply;
/* How many connections were let go. */
extern unsigned abandoned;

/* A connection; of several nobody can tell which is which. */
struct control *some_control(void);

#endif
