#include "syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* All threads are started before, and all files that are written are open.  So
 * there is no call here that starts a thread or a process, or makes a file. */
static const int allowed[] = {
	/* moving bytes, and waiting for them */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	/* connections */
	SCMP_SYS(accept4),
	SCMP_SYS(shutdown),
	SCMP_SYS(close),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(bind), /* netlink */
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(mlock),
	SCMP_SYS(munlock),
	/* the kernel's files: limits, pressure, devices */
	SCMP_SYS(pread64),
	SCMP_SYS(lseek),
	SCMP_SYS(fstat),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(fstatfs),
	SCMP_SYS(statfs),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getdents64),
	/* its own files, at the end */
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(dup2), /* standard error */
	SCMP_SYS(dup3),
	/* time, threads that are there, signals to itself */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(nanosleep),
	SCMP_SYS(time),
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(membarrier),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(alarm),
	SCMP_SYS(setitimer),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	/* what it and the machine are */
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getrusage),
	SCMP_SYS(getrandom),
	SCMP_SYS(sysinfo),
	SCMP_SYS(uname),
};

/* Allowed if the bits MASK of one argument are VALUE. */
struct rule {
	int call;
	unsigned argument;
	uint64_t mask;
	uint64_t value;
};

#define WHOLE UINT64_MAX

/* Flags of open with which a file is written or made. */
#define WRITES (O_ACCMODE | O_CREAT | O_TRUNC)

static const struct rule rules[] = {
	/* not the first data of a connection, which makes it (tcp(7),
	 * TCP_FASTOPEN): a listening socket that was shut down could */
	{ SCMP_SYS(sendto), 3, MSG_FASTOPEN, 0 },
	{ SCMP_SYS(sendmsg), 2, MSG_FASTOPEN, 0 },
	{ SCMP_SYS(open), 1, WRITES, O_RDONLY },
	{ SCMP_SYS(openat), 2, WRITES, O_RDONLY },
	{ SCMP_SYS(mmap), 2, PROT_EXEC, 0 },
	{ SCMP_SYS(mprotect), 2, PROT_EXEC, 0 },
	/* verbs, on devices that are open */
	{ SCMP_SYS(ioctl), 1, 0xff00, RDMA_IOCTL_MAGIC << 8 },
	/* to the service manager; which RDMA devices there are */
	{ SCMP_SYS(socket), 0, WHOLE, AF_UNIX },
	{ SCMP_SYS(socket), 0, WHOLE, AF_NETLINK },
	{ SCMP_SYS(fcntl), 1, WHOLE, F_GETFD },
	{ SCMP_SYS(fcntl), 1, WHOLE, F_SETFD },
	{ SCMP_SYS(fcntl), 1, WHOLE, F_GETFL },
	{ SCMP_SYS(fcntl), 1, WHOLE, F_SETFL },
	{ SCMP_SYS(fcntl), 1, WHOLE, F_DUPFD_CLOEXEC },
	/* reading its own limits: no new ones are given */
	{ SCMP_SYS(prlimit64), 2, WHOLE, 0 },
};

/* What only a client of etcd does: looking names up, and connecting. */
static const int allowed_to_connect[] = {
	SCMP_SYS(connect),
};

static const struct rule rules_to_connect[] = {
	{ SCMP_SYS(sendmmsg), 3, MSG_FASTOPEN, 0 },
	{ SCMP_SYS(socket), 0, WHOLE, AF_INET },
	{ SCMP_SYS(socket), 0, WHOLE, AF_INET6 },
};

static int add(scmp_filter_ctx filter, const int *calls, size_t n_calls,
	       const struct rule *some, size_t n_some)
{
	int err = 0;

	for (size_t i = 0; !err && i < n_calls; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	for (size_t i = 0; !err && i < n_some; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, some[i].call, 1,
				       SCMP_CMP64(some[i].argument,
						  SCMP_CMP_MASKED_EQ,
						  some[i].mask, some[i].value));
	return err;
}

static int add_rules(scmp_filter_ctx filter, bool connects)
{
	int err = add(filter, allowed, COUNT(allowed), rules, COUNT(rules));

	if (!err && connects)
		err = add(filter, allowed_to_connect, COUNT(allowed_to_connect),
			  rules_to_connect, COUNT(rules_to_connect));
	if (err)
		return err;
	/* abort */
	return seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		SCMP_A0_64(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

int syscalls_restrict(bool connects, struct error *why)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int err = filter ? add_rules(filter, connects) : -ENOMEM;

	if (!err)
		err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err) {
		/* Neither is there in each kernel and library, and the filter
		 * is as good without: lines in the kernel's log, and a search
		 * tree instead of a list. */
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
		err = seccomp_load(filter);
	}
	if (filter)
		seccomp_release(filter);
	if (err)
		error_set(why, "%s", strerror(-err));
	return err;
}
