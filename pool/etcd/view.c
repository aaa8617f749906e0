#include "view.h"

#include <errno.h>

#include "clock.h"
#include "watch.h"

#define CALL_NS (10 * NS_PER_S)

/* And up to a quarter more: clients that began at once do not go on together.
 */
#define LIST_EVERY_NS (300 * NS_PER_S)
#define LIST_SOON_NS  (20 * NS_PER_S)

/* A watch that is canceled at once, each time, is none that lives. */
#define LIVED_NS (10 * NS_PER_S)

static void tell_all(void *arg, const struct etcd_kv *kvs, unsigned n)
{
	struct etcd_view *view = arg;

	for (unsigned i = 0; i < n; i++)
		view->ops->changed(view->arg, &kvs[i]);
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

static uint64_t soon_ns(const struct etcd_view *view)
{
	uint64_t ns = view->call_ns ? view->call_ns : CALL_NS;

	for (unsigned i = 0; i < view->failures && ns < view->call_most_ns; i++)
		ns = earlier(2 * ns, view->call_most_ns);
	return clock_now_ns() + ns;
}

/* A key that changes is told to all clients at the same moment, and so they
 * would also all miss the next one at the same moment: hence the draw. */
static uint64_t end_of_silence_ns(uint64_t quiet_ns)
{
	return clock_now_ns() + quiet_ns + etcd_draw_ns(quiet_ns / 2);
}

/* Etcd has said something. */
static void hear(struct etcd_view *view)
{
	view->quiet_at_ns =
		view->quiet_ns ? end_of_silence_ns(view->quiet_ns) : UINT64_MAX;
}

/* When to list anew. */
static uint64_t next_list_ns(const struct etcd_view *view)
{
	return earlier(view->list_at_ns, view->quiet_at_ns);
}

static int list(struct etcd_view *view, struct error *why)
{
	uint64_t revision;
	int rc;

	view->ops->begin(view->arg);
	rc = etcd_range(view->etcd, view->prefix, soon_ns(view), tell_all, view,
			&revision, why);
	if (rc)
		return rc;
	view->ops->end(view->arg);
	view->revision = revision;
	view->listed = true;
	view->cluster = 0;
	view->list_at_ns = clock_now_ns() + LIST_EVERY_NS +
			   etcd_draw_ns(LIST_EVERY_NS / 4);
	hear(view);
	return 0;
}

static int watch(struct etcd_view *view, struct error *why)
{
	int rc = etcd_watch(view->etcd, view->watch, view->prefix,
			    view->revision + 1, soon_ns(view), why);

	view->watching = !rc;
	view->began = false;
	return rc;
}

static void unwatch(struct etcd_view *view)
{
	if (view->watching)
		etcd_unwatch(view->etcd, view->watch);
	view->watching = false;
}

/* Whether the revisions of the one who answers are those of the list. */
static bool is_same_store(struct etcd_view *view,
			  const struct etcd_answer *answer)
{
	if (!view->cluster)
		view->cluster = answer->cluster;
	return view->cluster == answer->cluster &&
	       answer->revision >= view->revision;
}

/* Why all keys have to be listed anew, or NULL. */
static const char *why_void(struct etcd_view *view,
			    const struct etcd_answer *answer)
{
	if (answer->compact_revision)
		return "etcd has dropped changes that the watch did not tell "
		       "yet";
	if (answer->canceled)
		return "etcd has canceled the watch";
	if (!is_same_store(view, answer))
		return "another etcd answers, or one that has lost its keys";
	return NULL;
}

/* 1 if something was told, 0, or -EAGAIN.  The caller rests before the next
 * list: behind one address there may be two stores, and each watch may be
 * answered by the one that was not listed. */
static int take(struct etcd_view *view, const struct etcd_answer *answer,
		struct error *why)
{
	const char *reason = why_void(view, answer);

	if (reason) {
		error_set(why, "%s", reason);
		unwatch(view);
		view->listed = false;
		return -EAGAIN;
	}
	if (answer->created)
		view->lived_at_ns = clock_now_ns() + LIVED_NS;
	view->began |= answer->created;
	if (answer->n)
		view->failures = 0;
	for (unsigned i = 0; i < answer->n; i++) {
		view->ops->changed(view->arg, &answer->kvs[i]);
		if (answer->kvs[i].mod_revision > view->revision)
			view->revision = answer->kvs[i].mod_revision;
	}
	return answer->n != 0;
}

/* A store that was restarted empty may have passed the view's revision again
 * by now, and then looks the same.  Not all clients list at once. */
static void list_soon(struct etcd_view *view)
{
	uint64_t soon_ns =
		clock_now_ns() + LIST_SOON_NS + etcd_draw_ns(LIST_SOON_NS);

	view->list_at_ns = earlier(view->list_at_ns, soon_ns);
}

/* Takes what the watch has told.  1 if something was told, 0, or a negative
 * errno. */
static int read_watch(struct etcd_view *view, struct error *why)
{
	int told = 0;

	while (view->watching) {
		struct etcd_answer answer;
		int rc = etcd_watch_next(view->etcd, view->watch, &answer, why);

		if (rc < 0) {
			unwatch(view);
			list_soon(view);
			/* Each watch from here on would end there. */
			view->listed &= rc != -EMSGSIZE;
			return rc;
		}
		if (!rc)
			break;
		hear(view);
		rc = take(view, &answer, why);
		etcd_answer_free(&answer);
		if (rc < 0)
			return rc;
		told |= rc;
	}
	return told;
}

static uint64_t pause_until_ns(const struct etcd_view *view,
			       uint64_t deadline_ns)
{
	uint64_t due_ns = etcd_watch_due_ns(view->etcd, view->watch);

	return earlier(earlier(deadline_ns, due_ns), next_list_ns(view));
}

/* Whether the view may go on now. */
static bool rest(struct etcd_view *view, uint64_t deadline_ns)
{
	if (clock_left_ns(view->again_ns))
		etcd_pause(view->etcd, earlier(deadline_ns, view->again_ns));
	return !clock_left_ns(view->again_ns);
}

static int go_on(struct etcd_view *view, uint64_t deadline_ns,
		 struct error *why)
{
	int rc;

	if (view->listed && !clock_left_ns(next_list_ns(view))) {
		unwatch(view);
		view->listed = false;
	}
	if (!view->listed)
		return list(view, why);
	if (!view->watching) {
		rc = watch(view, why);
		if (rc)
			return rc;
	}
	etcd_pause(view->etcd, pause_until_ns(view, deadline_ns));
	rc = read_watch(view, why);
	if (view->began && view->watching && !clock_left_ns(view->lived_at_ns))
		view->failures = 0;
	return rc < 0 ? rc : 0;
}

int etcd_view_fail(struct etcd_view *view, int rc, const struct error *why)
{
	view->failures++;
	view->again_ns = clock_now_ns() + etcd_backoff_ns(view->failures);
	view->rc = rc;
	view->why = *why;
	return rc;
}

int etcd_view_step(struct etcd_view *view, uint64_t deadline_ns,
		   struct error *why)
{
	int rc;

	if (!rest(view, deadline_ns)) {
		*why = view->why;
		return view->rc;
	}
	rc = go_on(view, deadline_ns, why);
	return rc ? etcd_view_fail(view, rc, why) : 0;
}

bool etcd_view_is_current(const struct etcd_view *view)
{
	return view->listed && view->watching && view->began;
}

void etcd_view_close(struct etcd_view *view)
{
	if (view->watching)
		list_soon(view);
	unwatch(view);
	view->failures = 0;
	view->again_ns = 0;
}
