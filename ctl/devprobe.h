/* Whether the kernel's device still reaches a server. sysfs does not show this:
 * an nbd device that swap holds open keeps its pid and its size, also after
 * nbd-client -d.  So the probe reads one page. */
#ifndef RSWAPCTL_DEVPROBE_H
#define RSWAPCTL_DEVPROBE_H

enum devprobe {
	DEVPROBE_READS, /* the page was read */
	DEVPROBE_FAILS, /* an I/O error */
	/* no answer in time, or it can't be opened, or an earlier read of it
	 * still hangs */
	DEVPROBE_UNKNOWN,
};

/* Reads the first page of DEVICE, which swap never uses, past the page cache;
 * waits for 5 seconds at most.  A process of its own reads, because a read that
 * hangs in the kernel cannot be ended.  For the main thread only. */
enum devprobe devprobe_read(const char *device);

#endif
