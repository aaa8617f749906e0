/* How a ublk device comes to be and ends (plugin/ublk/control.c), with a driver
 * that does as the test says. */
#include "mock_ublk.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct control control;
static struct error why;

static const struct control_shape shape = {
	.id = 3, .queues = 2, .depth = 8, .size_bytes = UINT64_C(64) << 20
};

/* How many times ADD_DEV says that the id is taken, by whom, and in which
 * state. */
static unsigned taken;
static int32_t owner;
static uint16_t owner_state;
static uint64_t owner_flags;
static uint32_t never; /* an operation that does not end */
/* How many times an operation is interrupted, and what follows. */
static uint32_t interrupted;
static unsigned interruptions;
static int follows;

static int do_as_linux(const struct mock_command *c, void *argument)
{
	struct ublk_dev_info *info = argument;

	if (c->op == never)
		return MOCK_NEVER;
	if (c->op == interrupted)
		return interruptions ? (interruptions--, -EINTR) : follows;
	if (c->op == UBLK_ADD_DEV) {
		if (taken)
			return taken--, -EEXIST;
		if (info->dev_id == UBLK_ANY_ID)
			info->dev_id = 12;
		info->queues = 1; /* of one processor */
	} else if (c->op == UBLK_GET_DEV_INFO2) {
		info = (void *)((char *)argument + c->command.dev_path_len);
		info->pid = owner;
		info->state = owner_state;
		info->flags = owner_flags;
	}
	return 0;
}

static int setup(void **state)
{
	(void)state;
	mock_start();
	mock.control = do_as_linux;
	taken = never = interrupted = 0;
	follows = 0;
	owner_flags = UBLK_F_UNPRIVILEGED_DEV;
	assert_int_equal(control_open(&control, &why), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	control_close(&control);
	mock_stop();
	return 0;
}

static void assert_commands(const uint32_t *ops, unsigned n)
{
	for (unsigned i = 0; i < n && i < mock.n_commands; i++)
		assert_int_equal(mock.commands[i].op, ops[i]);
	assert_int_equal(mock.n_commands, n);
}

/* The path that an unprivileged device's commands begin with. */
static void assert_path(const struct mock_command *c, const char *path)
{
	assert_int_equal(c->command.dev_path_len, CONTROL_PATH_BYTES);
	assert_true(c->command.len >= CONTROL_PATH_BYTES);
	assert_string_equal(c->argument, path);
}

static void a_device_is_made_and_ends_in_order(void **state)
{
	static const uint32_t ops[] = { UBLK_ADD_DEV, UBLK_SET_PARAMS,
					UBLK_START_DEV, UBLK_STOP_DEV,
					UBLK_DEL_DEV };
	struct ublk_dev_info info;
	struct ublk_params params;

	(void)state;
	assert_int_equal(control_add(&control, &shape, &why), 0);
	assert_int_equal(control_start(&control, &why), 0);
	assert_true(control_claim(&control, &why));
	assert_true(control_stop(&control, &why));
	assert_true(control_delete(&control, &why));
	assert_commands(ops, COUNT(ops));

	memcpy(&info, mock.commands[0].argument, sizeof info);
	assert_int_equal(mock.commands[0].command.dev_id, 3);
	assert_int_equal(mock.commands[0].command.dev_path_len, 0);
	assert_int_equal(info.dev_id, 3);
	assert_int_equal(info.queue_depth, 8);
	assert_int_equal(info.max_io_bytes, CONTROL_IO_BYTES);
	assert_true(info.flags & UBLK_F_UNPRIVILEGED_DEV);
	assert_int_equal(control.queues, 1);
	for (unsigned i = 1; i < COUNT(ops); i++) {
		assert_path(&mock.commands[i], "/dev/ublkc3");
		assert_int_equal(mock.commands[i].command.queue_id,
				 UBLK_NO_QUEUE);
	}
	memcpy(&params, mock.commands[1].argument + CONTROL_PATH_BYTES,
	       sizeof params);
	assert_int_equal(params.basic.logical_bs_shift, 12);
	assert_int_equal(params.basic.dev_sectors, (64 << 20) / 512);
	assert_int_equal(params.basic.max_sectors * 512, CONTROL_IO_BYTES);
	assert_int_equal(params.basic.attrs, 0);
	assert_int_equal(params.discard.max_segments, 1);
	assert_int_equal(mock.commands[2].command.data, getpid());
	assert_string_equal(control.block_path, "/dev/ublkb3");
}

/* The kernel would kill a process that serves an unprivileged device. */
static void requests_may_take_longer_than_the_kernel_allows(void **state)
{
	char text[32] = "";

	(void)state;
	assert_int_equal(control_add(&control, &shape, &why), 0);
	assert_int_equal(control_start(&control, &why), 0);
	assert_true(pread(mock.timeout_fd, text, sizeof text - 1, 0) > 0);
	/* timeout= has 600 seconds at most */
	assert_true(atol(text) > 600 * 1000L);
}

static void a_device_that_the_kernel_may_kill_does_not_start(void **state)
{
	(void)state;
	assert_int_equal(control_add(&control, &shape, &why), 0);
	mock.read_only = true;
	assert_int_equal(control_start(&control, &why), -EROFS);
	assert_contains(why.text, "io_timeout");
}

static void the_kernel_chooses_an_id(void **state)
{
	struct control_shape any = shape;

	(void)state;
	any.id = UBLK_ANY_ID;
	assert_int_equal(control_add(&control, &any, &why), 0);
	assert_string_equal(control.block_path, "/dev/ublkb12");
	assert_string_equal(control.char_path, "/dev/ublkc12");
}

static void what_a_killed_process_left_is_deleted(void **state)
{
	static const uint32_t ops[] = { UBLK_ADD_DEV, UBLK_GET_DEV_INFO2,
					UBLK_DEL_DEV, UBLK_ADD_DEV,
					UBLK_SET_PARAMS };

	(void)state;
	taken = 1;
	owner = 1;
	owner_state = UBLK_S_DEAD;
	assert_int_equal(control_add(&control, &shape, &why), 0);
	assert_commands(ops, COUNT(ops));
	assert_path(&mock.commands[2], "/dev/ublkc3");
	assert_int_equal(mock.commands[3].command.dev_path_len, 0);
}

static void a_device_that_is_served_is_left_alone(void **state)
{
	static const uint32_t ops[] = { UBLK_ADD_DEV, UBLK_GET_DEV_INFO2 };
	char process[32];

	(void)state;
	taken = 1;
	owner = getpid();
	owner_state = 1;
	assert_int_equal(control_add(&control, &shape, &why), -EBUSY);
	assert_commands(ops, COUNT(ops));
	snprintf(process, sizeof process, "process %d", (int)getpid());
	assert_contains(why.text, process);
	assert_false(control.added);
}

/* The kernel calls it dead until it is started. */
static void a_device_that_is_being_made_is_left_alone(void **state)
{
	static const uint32_t ops[] = { UBLK_ADD_DEV, UBLK_GET_DEV_INFO2 };

	(void)state;
	taken = 1;
	owner = 0;
	owner_state = UBLK_S_DEAD;
	mock.char_open = true;
	assert_int_equal(control_add(&control, &shape, &why), -EBUSY);
	assert_commands(ops, COUNT(ops));
	assert_contains(why.text, "being made by another process");
	assert_false(control.added);
}

/* The path would be taken for the argument. */
static void one_with_privileges_gets_no_path(void **state)
{
	(void)state;
	owner = 1;
	owner_state = UBLK_S_DEAD;
	owner_flags = 0;
	assert_int_equal(control_delete_left(&control, 3, &why), 0);
	assert_int_equal(mock.n_commands, 2);
	assert_path(&mock.commands[0], "/dev/ublkc3");
	assert_int_equal(mock.commands[1].op, UBLK_DEL_DEV);
	assert_int_equal(mock.commands[1].command.dev_path_len, 0);
}

static void a_device_in_use_is_not_claimed(void **state)
{
	(void)state;
	assert_int_equal(control_add(&control, &shape, &why), 0);
	mock.in_use = true;
	assert_false(control_claim(&control, &why));
	assert_contains(why.text, "busy");
	mock.in_use = false;
	assert_true(control_claim(&control, &why));
}

static void a_command_that_ends_late_is_not_taken_for_another(void **state)
{
	(void)state;
	assert_int_equal(control_add(&control, &shape, &why), 0);
	never = UBLK_START_DEV;
	assert_int_equal(control_start(&control, &why), -ETIMEDOUT);
	mock_end_late(mock.n_commands, 0);
	never = UBLK_STOP_DEV;
	assert_false(control_stop(&control, &why));
	assert_contains(why.text, "ending /dev/ublkb3");
}

/* The kernel waits for the queues in START_DEV, and for the last user in
 * DEL_DEV.  A signal ends both of them. */
static void a_command_that_was_interrupted_is_repeated(void **state)
{
	static const uint32_t ops[] = { UBLK_ADD_DEV,	UBLK_SET_PARAMS,
					UBLK_START_DEV, UBLK_START_DEV,
					UBLK_START_DEV, UBLK_DEL_DEV,
					UBLK_DEL_DEV };

	(void)state;
	assert_int_equal(control_add(&control, &shape, &why), 0);
	interrupted = UBLK_START_DEV;
	interruptions = 2;
	assert_int_equal(control_start(&control, &why), 0);
	/* The device is gone when it is deleted again. */
	interrupted = UBLK_DEL_DEV;
	interruptions = 1;
	follows = -ENODEV;
	assert_true(control_delete(&control, &why));
	assert_commands(ops, COUNT(ops));
}

static void a_wait_that_was_interrupted_goes_on(void **state)
{
	static const uint32_t ops[] = { UBLK_ADD_DEV, UBLK_SET_PARAMS };

	(void)state;
	mock.waits_interrupted = 3;
	assert_int_equal(control_add(&control, &shape, &why), 0);
	assert_int_equal(mock.waits_interrupted, 0);
	assert_commands(ops, COUNT(ops));
}

static void one_that_still_has_users_is_told(void **state)
{
	(void)state;
	assert_int_equal(control_add(&control, &shape, &why), 0);
	never = UBLK_DEL_DEV;
	assert_false(control_delete(&control, &why));
	assert_contains(why.text, "/dev/ublkb3 is still in use");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_device_is_made_and_ends_in_order),
		TEST(requests_may_take_longer_than_the_kernel_allows),
		TEST(a_device_that_the_kernel_may_kill_does_not_start),
		TEST(the_kernel_chooses_an_id),
		TEST(what_a_killed_process_left_is_deleted),
		TEST(a_device_that_is_served_is_left_alone),
		TEST(a_device_that_is_being_made_is_left_alone),
		TEST(one_with_privileges_gets_no_path),
		TEST(a_device_in_use_is_not_claimed),
		TEST(a_command_that_ends_late_is_not_taken_for_another),
		TEST(a_command_that_was_interrupted_is_repeated),
		TEST(a_wait_that_was_interrupted_goes_on),
		TEST(one_that_still_has_users_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
