/* The kernel's side of nbd_netlink.h where the kernel has no nbd: each call is
 * one of the program nbd-netlink (kernel.pl).  An exclusive open is a file
 * lock. */
#include "claim.h"
#include "fake_claim.h"
#include "nbd_netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX (NBD_SOCKETS_MAX + 8)

/* What the program prints is a number, or the errno for which it fails. */
static int ask(const char *const argv[], const int *fds, int n_fds)
{
	char text[16] = "";
	int out[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return -ENOMEM;
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		for (int i = 0; i < n_fds; i++)
			fcntl(fds[i], F_SETFD, 0);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(out[1]);
	while ((n = read(out[0], text, sizeof text - 1)) < 0 && errno == EINTR)
		;
	close(out[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 127)
		return -EIO;
	if (WEXITSTATUS(status) == 0)
		return atoi(text);
	return atoi(text) ? -atoi(text) : -EIO;
}

/* Valid until WORDS_MAX more were made. */
static const char *number_word(uint64_t number)
{
	static char words[WORDS_MAX][24];
	static unsigned next;
	char *word = words[next++ % WORDS_MAX];

	snprintf(word, sizeof words[0], "%" PRIu64, number);
	return word;
}

int nbd_netlink_connect(const struct nbd_request_connect *r, bool *busy,
			struct error *why)
{
	const char *argv[WORDS_MAX] = { "nbd-netlink", "connect" };
	int n = 2, number;

	argv[n++] = r->number < 0 ? "-1" : number_word((uint64_t)r->number);
	argv[n++] = number_word(r->size_bytes);
	argv[n++] = r->backend;
	for (int i = 0; i < r->n_sockets; i++)
		argv[n++] = number_word((uint64_t)r->sockets[i]);
	number = ask(argv, r->sockets, r->n_sockets);
	*busy = number == -EBUSY && r->number >= 0;
	if (number < 0)
		error_set(why, "connect: %s", strerror(-number));
	return number < 0 ? -1 : number;
}

int nbd_netlink_disconnect(int number, struct error *why)
{
	const char *const argv[] = { "nbd-netlink", "disconnect",
				     number_word((uint64_t)number), NULL };
	int err = ask(argv, NULL, 0);

	if (err < 0)
		error_set(why, "disconnect: %s", strerror(-err));
	return err < 0 ? -1 : 0;
}

int claim_device(const char *name)
{
	return fake_claim(name);
}
