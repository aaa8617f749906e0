/* Whether the kernel's device still reaches a server.  sysfs doesn't tell: as
 * long as swap holds an nbd device open it keeps its pid and its size, also
 * after nbd-client -d.  So one page is read. */
#ifndef RSWAPCTL_DEVPROBE_H
#define RSWAPCTL_DEVPROBE_H

enum devprobe {
	DEVPROBE_READS,	  /* the page was read */
	DEVPROBE_FAILS,	  /* an I/O error */
	DEVPROBE_UNKNOWN, /* no answer in time, or it can't be opened */
};

/* Reads the first page of DEVICE, which swap never uses, past the page cache;
 * waits for 5 seconds at most.  The read is left to a process of its own: in
 * the kernel's hands it can't be ended. */
enum devprobe devprobe_read(const char *device);

#endif
