#include "support.h"
#include "transport/spin.h"

/* A wait whose spin, where there is one, ends so.  Whether there was one. */
static bool wait_once(struct spin *spin, bool in_time)
{
	bool spins = spin_pays(spin);

	if (spins)
		spin_learn(spin, in_time);
	return spins;
}

static void a_spin_that_pays_goes_on(void **state)
{
	struct spin spin = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(wait_once(&spin, i % SPIN_PATIENCE == 0));
}

static void a_spin_that_never_pays_is_rare(void **state)
{
	struct spin spin = { 0 };
	int spins = 0;

	(void)state;
	for (int i = 0; i < 10 * SPIN_REST; i++)
		spins += wait_once(&spin, false);
	assert_in_range(spins, SPIN_PATIENCE + 1, SPIN_PATIENCE + 10);
}

static void a_spin_that_pays_again_is_found(void **state)
{
	struct spin spin = { 0 };
	int sleeps = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		wait_once(&spin, false);
	while (!wait_once(&spin, true))
		sleeps++;
	assert_in_range(sleeps, 0, SPIN_REST);
	for (int i = 0; i < SPIN_PATIENCE; i++)
		assert_true(wait_once(&spin, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spin_that_pays_goes_on),
		cmocka_unit_test(a_spin_that_never_pays_is_rare),
		cmocka_unit_test(a_spin_that_pays_again_is_found),
	};

	return cmocka_run_group_tests_name("spin", tests, NULL, NULL);
}
