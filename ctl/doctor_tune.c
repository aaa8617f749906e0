/* doctor --tune: the kernel's memory settings beside those that are best. */
#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>

#include "cmd.h"
#include "vmtune.h"

static void tell_setting(const struct vmtune *tune)
{
	char what[48], remedy[96];

	snprintf(what, sizeof what, "vm.%s", tune->name);
	snprintf(remedy, sizeof remedy, "sysctl %s=%" PRIu64 "%s", what,
		 tune->wanted,
		 tune->scope == VMTUNE_ATTACH ? " (rswapctl attach sets it)"
					      : "");
	if (!tune->exists)
		doctor_tell(FOUND_OK, what, NULL, "this kernel has none");
	else
		doctor_tell(tune->fits ? FOUND_OK : FOUND_WARN, what,
			    tune->fits ? NULL : remedy, "%" PRIu64, tune->now);
}

static int apply(void)
{
	struct error why;

	if (vmtune_set(VMTUNE_ALL, &why) == 0)
		return EXIT_OK;
	fprintf(stderr, "rswapctl doctor: --apply: %s\n", why.text);
	return EXIT_FAILED;
}

int doctor_tune(bool wants_apply)
{
	struct vmtune tune;
	int status = wants_apply ? apply() : EXIT_OK;

	for (size_t i = 0; vmtune_look(i, &tune); i++)
		tell_setting(&tune);
	return status;
}
