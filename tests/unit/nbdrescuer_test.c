/* ctl/nbdrescuer.c: what the kernel's rescuer of an nbd device does. */
#include "nbdrescuer.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char proc[] = "/tmp/nbdrescuer.XXXXXX";

/* A process whose `stat` is that. */
static void has(const char *pid, const char *stat)
{
	char path[100];
	FILE *out;

	snprintf(path, sizeof path, "%s/%s", proc, pid);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/%s/stat", proc, pid);
	out = fopen(path, "w");
	assert_non_null(out);
	fputs(stat, out);
	fclose(out);
}

static void a_kernel_may_show_none(void **state)
{
	(void)state;
	has("1", "1 (systemd) S 0 1 1\n");
	has("self", "7 (nbd0-recv) S 0 1 1\n");
	has("40", "40 (nbd1-recv) S 2 0 0\n");
	has("41", "41 (nbd10-recv) S 2 0 0\n");
	has("42", "");
	assert_int_equal(nbdrescuer_look(proc, 0).rescuer, NBDRESCUER_NONE);
	assert_int_equal(nbdrescuer_look("/nowhere", 0).rescuer,
			 NBDRESCUER_NONE);
}

static void one_without_work_is_idle(void **state)
{
	(void)state;
	has("50", "50 (nbd3-recv) I 2 0 0\n");
	has("51", "51 (kworker/R-nbd4-recv) I 2 0 0\n");
	assert_int_equal(nbdrescuer_look(proc, 3).rescuer, NBDRESCUER_IDLE);
	assert_int_equal(nbdrescuer_look(proc, 4).rescuer, NBDRESCUER_IDLE);
}

static void one_that_waits_for_a_reply_is_busy(void **state)
{
	(void)state;
	assert_int_equal(nbdrescuer_look(proc, 1).rescuer, NBDRESCUER_BUSY);
	has("51", "51 (kworker/R-nbd4-recv) R 2 0 0\n");
	assert_int_equal(nbdrescuer_look(proc, 4).rescuer, NBDRESCUER_BUSY);
	/* as the kernel shows one that is with workers */
	has("50", "50 (nbd3-recv+nbd3-recv) D 2 0 0\n");
	has("51", "51 (kworker/R-nbd4-recv+nbd4-recv) D 2 0 0\n");
	for (int number = 3; number <= 4; number++) {
		struct nbdreceivers r = nbdrescuer_look(proc, number);

		assert_int_equal(r.rescuer, NBDRESCUER_BUSY);
		assert_int_equal(r.workers, 0);
	}
	has("50", "50 (nbd3-recv-nbd3-recv) I 2 0 0\n");
	assert_int_equal(nbdrescuer_look(proc, 3).rescuer, NBDRESCUER_IDLE);
}

static void workers_are_counted_while_they_receive(void **state)
{
	(void)state;
	has("60", "60 (kworker/u4:1+nbd5-recv) D 2 0 0\n");
	has("61", "61 (kworker/u8:10+nbd5-recv) S 2 0 0\n");
	/* has received, of another device, and no worker */
	has("62", "62 (kworker/u4:2-nbd5-recv) I 2 0 0\n");
	has("63", "63 (kworker/u4:3+nbd15-recv) D 2 0 0\n");
	has("64", "64 (x+nbd5-recv) D 1 0 0\n");
	assert_int_equal(nbdrescuer_look(proc, 5).workers, 2);
	assert_int_equal(nbdrescuer_look(proc, 15).workers, 1);
	assert_int_equal(nbdrescuer_look(proc, 3).workers, 0);
}

static int start(void **state)
{
	(void)state;
	return mkdtemp(proc) ? 0 : -1;
}

static int stop(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", proc);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_may_show_none),
		cmocka_unit_test(one_without_work_is_idle),
		cmocka_unit_test(one_that_waits_for_a_reply_is_busy),
		cmocka_unit_test(workers_are_counted_while_they_receive),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
