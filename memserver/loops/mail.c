#include "mail.h"

#include <limits.h>
#include <stdbool.h>

#include "container.h"

/* Mail that is delivered in one turn of the loop. */
#define BATCH 64

/* Takes the first MOST, or fewer.  *LEFT: there are more. */
static struct mail *take(struct mailbox *box, unsigned most, bool *left)
{
	struct mail *first;
	struct mail *last;

	pthread_mutex_lock(&box->lock);
	first = last = box->first;
	while (last && last->next && --most)
		last = last->next;
	if (last) {
		box->first = last->next;
		last->next = NULL;
	}
	*left = box->first;
	if (!*left)
		box->end = &box->first;
	pthread_mutex_unlock(&box->lock);
	return first;
}

static void deliver(struct mail *mail)
{
	while (mail) {
		struct mail *next = mail->next;

		mail->deliver(mail); /* may free it */
		mail = next;
	}
}

/* In batches, so that much mail does not delay the other events of the loop. */
static void wake_cb(struct ev_loop *loop, ev_async *watcher, int events)
{
	struct mailbox *box = container_of(watcher, struct mailbox, wake);
	bool left;

	(void)events;
	deliver(take(box, BATCH, &left));
	if (left)
		ev_async_send(loop, &box->wake);
}

void mailbox_open(struct mailbox *box, struct ev_loop *loop)
{
	pthread_mutex_init(&box->lock, NULL);
	box->first = NULL;
	box->end = &box->first;
	box->loop = loop;
	ev_async_init(&box->wake, wake_cb);
	ev_async_start(loop, &box->wake);
}

void mailbox_post(struct mailbox *box, struct mail *mail)
{
	mail->next = NULL;
	pthread_mutex_lock(&box->lock);
	*box->end = mail;
	box->end = &mail->next;
	pthread_mutex_unlock(&box->lock);
	ev_async_send(box->loop, &box->wake);
}

void mailbox_deliver(struct mailbox *box)
{
	bool left;

	deliver(take(box, UINT_MAX, &left));
}

void mailbox_close(struct mailbox *box)
{
	ev_async_stop(box->loop, &box->wake);
	pthread_mutex_destroy(&box->lock);
}
