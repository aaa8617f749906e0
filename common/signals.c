#include "signals.h"

#include <signal.h>
#include <stddef.h>

static void ignore(int number)
{
	struct sigaction now;

	if (sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		signal(number, SIG_IGN);
}

void signals_ignore_stray(void)
{
	static const int stray[] = {
		SIGHUP,	   SIGQUIT, SIGUSR1, SIGUSR2,	SIGPIPE,
		SIGALRM,   SIGPROF, SIGIO,   SIGVTALRM, SIGPWR,
		SIGSTKFLT, SIGXCPU, SIGXFSZ, SIGTTIN,	SIGTTOU,
	};

	for (size_t i = 0; i < sizeof stray / sizeof stray[0]; i++)
		ignore(stray[i]);
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
		ignore(number);
}
