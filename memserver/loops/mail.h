/* Mail from one thread to the libev loop of another. */
#ifndef RSWAP_MAIL_H
#define RSWAP_MAIL_H

#include <ev.h>
#include <pthread.h>

/* Embedded in a struct that one thread gives to another.  The struct belongs to
 * the receiver from mailbox_post on.  `deliver` is called on the receiver's
 * thread, and may free the struct. */
struct mail {
	struct mail *next;
	void (*deliver)(struct mail *mail);
};

/* `lock` protects the list and is a leaf: nothing is called under it. */
struct mailbox {
	pthread_mutex_t lock;
	struct mail *first;
	struct mail **end;
	struct ev_loop *loop;
	ev_async wake;
};

/* Receiver's thread, or before that thread runs.  The watcher does not keep the
 * loop alive by itself. */
void mailbox_open(struct mailbox *box, struct ev_loop *loop);

/* Any thread.  Mail is delivered in the order of posting.  Allocates nothing.
 */
void mailbox_post(struct mailbox *box, struct mail *mail);

/* Delivers the mail that is there now.  Receiver's thread. */
void mailbox_deliver(struct mailbox *box);

/* Receiver's thread.  No thread posts any more. */
void mailbox_close(struct mailbox *box);

#endif
