#include "mail.h"

#include "list.h"

static void wake_cb(struct ev_loop *loop, ev_async *watcher, int events)
{
	(void)loop;
	(void)events;
	mailbox_deliver(container_of(watcher, struct mailbox, wake));
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
	struct mail *mail;

	pthread_mutex_lock(&box->lock);
	mail = box->first;
	box->first = NULL;
	box->end = &box->first;
	pthread_mutex_unlock(&box->lock);

	while (mail) {
		struct mail *next = mail->next;

		mail->deliver(mail); /* may free it */
		mail = next;
	}
}

void mailbox_close(struct mailbox *box)
{
	ev_async_stop(box->loop, &box->wake);
	pthread_mutex_destroy(&box->lock);
}
