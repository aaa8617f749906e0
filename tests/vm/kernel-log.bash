# shellcheck shell=bash
# What in a kernel's log tells nothing.

# without_reads_of_the_disconnected: standard input without errors of reads from an nbd
# device that was disconnected on request.  udev reads a device as soon as it is
# connected, and attach takes back one of which the kernel serves only one connection
# (ctl/nbdrescuer.h).  Nobody has a page there: of swap the kernel says "on
# swap-device".
without_reads_of_the_disconnected()
{
	awk '
		match($0, /nbd[0-9]+/) { device = substr($0, RSTART, RLENGTH) }
		/block nbd[0-9]+: NBD_DISCONNECT/ { gone[device] = 1 }
		/nbd[0-9]+: detected capacity change from 0 to/ { gone[device] = 0 }
		(/I\/O error, dev nbd.*\(READ\)/ || /Buffer I\/O error on dev nbd.*read$/) &&
			gone[device] { next }
		{ print }'
}
