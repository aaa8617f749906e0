#include "ask.h"

#include <stdlib.h>

#include "loops/container.h"

static void fill_in(struct mail *mail)
{
	struct ask *ask = container_of(mail, struct ask, mail);
	FILE *out;

	pthread_mutex_lock(&ask->lock);
	out = open_memstream(&ask->text, &ask->text_bytes);
	if (out) {
		ask->fill(ask->server, out);
		if (fclose(out) != 0) {
			free(ask->text);
			ask->text = NULL;
		}
	}
	ask->answered = true;
	pthread_cond_signal(&ask->change);
	pthread_mutex_unlock(&ask->lock);
}

void ask_open(struct ask *ask, struct server *server)
{
	*ask = (struct ask){ .server = server, .mail.deliver = fill_in };
	pthread_mutex_init(&ask->lock, NULL);
	pthread_cond_init(&ask->change, NULL);
}

bool ask_main_loop(struct ask *ask, ask_fill *fill, FILE *out)
{
	bool answered;

	pthread_mutex_lock(&ask->lock);
	ask->fill = fill;
	ask->answered = false;
	ask->text = NULL;
	if (!ask->closed) {
		mailbox_post(&ask->server->box, &ask->mail);
		while (!ask->answered && !ask->closed)
			pthread_cond_wait(&ask->change, &ask->lock);
	}
	answered = ask->answered && ask->text;
	if (answered && out)
		fputs(ask->text, out);
	free(ask->text);
	ask->text = NULL;
	pthread_mutex_unlock(&ask->lock);
	return answered;
}

void ask_close(struct ask *ask)
{
	pthread_mutex_lock(&ask->lock);
	ask->closed = true;
	pthread_cond_signal(&ask->change);
	pthread_mutex_unlock(&ask->lock);
}

void ask_free(struct ask *ask)
{
	/* The mail of a question that came too late to be answered. */
	mailbox_deliver(&ask->server->box);
	free(ask->text);
	pthread_cond_destroy(&ask->change);
	pthread_mutex_destroy(&ask->lock);
}
