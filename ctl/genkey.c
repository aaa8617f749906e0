#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "cmd.h"
#include "options.h"
#include "pskfile.h"

/* 256 bits, as many as the hash of the handshake has. */
#define KEY_BYTES 32

static const struct option_spec options[] = { { .name = NULL } };

static const struct cmdline cmdline = {
	.program = "rswapctl genkey",
	.args = "NAME",
	.about = "Print a new key for the client NAME, a line for the key "
		 "files of rswap-memserver (--psk-file) and of the client.  A "
		 "key file must have mode 0600 or 0400: run \"umask 077\" "
		 "before \"rswapctl genkey NAME >FILE\".",
	.options = options,
};

static int print_key(const char *name)
{
	uint8_t key[KEY_BYTES];

	/* So few bytes come at once, or not at all. */
	if (getrandom(key, sizeof key, 0) != sizeof key) {
		fprintf(stderr,
			"rswapctl genkey: cannot draw random numbers: %s\n",
			strerror(errno));
		return EXIT_FAILED;
	}
	printf("%s:", name);
	for (size_t i = 0; i < sizeof key; i++)
		printf("%02x", key[i]);
	printf("\n");
	explicit_bzero(key, sizeof key);
	if (fflush(stdout) == 0)
		return EXIT_OK;
	fprintf(stderr, "rswapctl genkey: standard output: %s\n",
		strerror(errno));
	return EXIT_FAILED;
}

int cmd_genkey(int argc, char **argv)
{
	int n_words = options_parse(&cmdline, argc, argv);

	if (n_words != 1)
		options_die(&cmdline, "%d names; allowed is one NAME", n_words);
	if (!psk_name_ok(argv[0]))
		options_die(&cmdline,
			    "NAME %s: allowed are 1 to %d printable ASCII "
			    "characters without spaces and colons, no # in "
			    "front",
			    argv[0], PSK_NAME_BYTES - 1);
	return print_key(argv[0]);
}
