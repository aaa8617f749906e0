#include "work.h"

#include <string.h>

#include "container.h"

static void deliver_done(struct mail *mail)
{
	struct work *work = container_of(mail, struct work, mail);

	work->done(work);
}

/* Under queue->lock; the queue is not empty. */
static struct work *take_first(struct workq *queue)
{
	struct work *work = queue->first;

	queue->first = work->next;
	if (queue->urgent_end == &work->next)
		queue->urgent_end = &queue->first;
	if (queue->end == &work->next)
		queue->end = &queue->first;
	return work;
}

/* The next piece of work, or NULL when it is time to stop. */
static struct work *await_work(struct workq *queue)
{
	struct work *work = NULL;

	pthread_mutex_lock(&queue->lock);
	while (!queue->first && !queue->stop)
		pthread_cond_wait(&queue->more, &queue->lock);
	if (queue->first)
		work = take_first(queue);
	pthread_mutex_unlock(&queue->lock);
	return work;
}

static void do_work(struct workq *queue, struct work *work)
{
	bool tell = work->done;

	work->run(work);
	if (tell)
		mailbox_post(queue->done_box, &work->mail);
}

bool workq_do_next(struct workq *queue)
{
	struct work *work = NULL;

	pthread_mutex_lock(&queue->lock);
	if (queue->first)
		work = take_first(queue);
	pthread_mutex_unlock(&queue->lock);
	if (work)
		do_work(queue, work);
	return work;
}

static void *workq_thread(void *arg)
{
	struct workq *queue = arg;
	struct work *work;

	while ((work = await_work(queue)))
		do_work(queue, work);
	return NULL;
}

int workq_start(struct workq *queue, const char *name, struct mailbox *done_box,
		struct error *why)
{
	int err;

	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->more, NULL);
	queue->first = NULL;
	queue->end = queue->urgent_end = &queue->first;
	queue->stop = false;
	queue->done_box = done_box;
	err = pthread_create(&queue->thread, NULL, workq_thread, queue);
	if (err) {
		error_set(why, "cannot start a thread: %s", strerror(err));
		return -err;
	}
	pthread_setname_np(queue->thread, name);
	return 0;
}

static void insert(struct workq *queue, struct work *work, bool urgent)
{
	struct work **at;

	work->mail.deliver = deliver_done;
	work->queue = queue;
	pthread_mutex_lock(&queue->lock);
	at = urgent ? queue->urgent_end : queue->end;
	work->next = *at;
	*at = work;
	if (queue->end == at)
		queue->end = &work->next;
	if (urgent)
		queue->urgent_end = &work->next;
	pthread_cond_signal(&queue->more);
	pthread_mutex_unlock(&queue->lock);
}

void workq_submit(struct workq *queue, struct work *work)
{
	insert(queue, work, false);
}

void workq_submit_urgent(struct workq *queue, struct work *work)
{
	insert(queue, work, true);
}

void workq_stop(struct workq *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->stop = true;
	pthread_cond_signal(&queue->more);
	pthread_mutex_unlock(&queue->lock);
	pthread_join(queue->thread, NULL);
	pthread_cond_destroy(&queue->more);
	pthread_mutex_destroy(&queue->lock);
}
