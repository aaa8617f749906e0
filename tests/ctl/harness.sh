# A machine for rswapctl: front end and memory server are real; the kernel's nbd,
# ublk and swap, and the tools that talk to the kernel, are kernel.pl's.  A test
# sources this file first, and has all of functions.sh as well.
#
# The test runs in a mount namespace of its own, where /dev, /sys/block, /proc/swaps
# and what attach sets below /proc/sys are files of the test's.  So nothing is done to
# this machine's own devices, swap and settings.
# shellcheck shell=bash
if [ -z "${RSWAP_HARNESS:-}" ]; then
	unshare --mount true 2>/dev/null || {
		echo "$(basename "$0"): skipped: needs a mount namespace (root)"
		exit 77
	}
	RSWAP_HARNESS=1 exec unshare --mount --propagation private \
		"$BASH" "$0" "$@"
fi
. "$(dirname "${BASH_SOURCE[0]}")/../integration/functions.sh"

ctl=$build/tests/ctl/rswapctl
fake_ublk=$build/tests/ctl/ublk/rswap-ublk
export RSWAP_FAKE=$dir/fake
export RSWAP_RUN_DIR=$dir/run
unset JOURNAL_STREAM RSWAP_PLUGIN

# --- the machine ---

replace_file() { # PATH: by a copy, where there is one
	local copy
	[ -e "$1" ] || return 0
	copy=$RSWAP_FAKE/$(basename "$1")
	cat "$1" >"$copy"
	mount --bind "$copy" "$1"
}

# /dev without any device of this machine's, as programs expect it.
make_dev() {
	cp -a /dev/{null,zero,full,random,urandom,tty} "$RSWAP_FAKE/dev"
	ln -s /proc/self/fd "$RSWAP_FAKE/dev/fd"
	mkdir "$RSWAP_FAKE/dev/shm"
	mount --bind "$RSWAP_FAKE/dev" /dev
}

# What the kernel has beside nbd: the module ublk_drv.
has_ublk() {
	touch "$RSWAP_FAKE/ublk_drv"
}

make_machine() {
	local tool
	mkdir -p "$RSWAP_FAKE"/{block,dev,swaps,hook} "$dir/bin"
	touch "$RSWAP_FAKE/log"
	for tool in nbd-netlink mkswap swapon swapoff modprobe nbd-kernel ublk-driver; do
		ln -s "$src/tests/ctl/kernel.pl" "$dir/bin/$tool"
	done
	if [ "$preload" ]; then
		printf '#!/bin/sh\nLD_PRELOAD="%s" exec %s "$@"\n' "$preload" \
			"$(command -v nbdkit)" >"$dir/bin/nbdkit"
		chmod +x "$dir/bin/nbdkit"
	fi
	ln -s "$rswap_nbd" "$dir/bin/rswap-nbd"
	ln -s "$fake_ublk" "$dir/bin/rswap-ublk"
	printf '#!/bin/sh\n[ -e "%s/$2" ]\n' "$RSWAP_FAKE" >"$dir/bin/modinfo"
	chmod +x "$dir/bin/modinfo"
	if [ "$front" = ublk ]; then
		has_ublk
		"$dir/bin/nbd-kernel" watch &
		pid[watch]=$!
	fi
	PATH=$dir/bin:$PATH
	make_dev
	mount --bind "$RSWAP_FAKE/block" /sys/block
	nbd-kernel publish
	nbd-kernel devices 4
	replace_file /proc/sys/vm/min_free_kbytes
	replace_file /proc/sys/vm/compact_unevictable_allowed
	replace_file /proc/sys/vm/watermark_scale_factor
	replace_file /proc/sys/vm/page-cluster
}

end_machine() {
	local status=$? log process
	trap - EXIT
	set +e
	if [ "$status" = 0 ] && has "$RSWAP_FAKE/log" UNDER-USE; then
		say "a device was disconnected under its user" >&2
		status=1
	fi
	if [ "$status" != 0 ]; then
		cp "$RSWAP_FAKE/log" "$dir/kernel.log"
		for log in "$RSWAP_RUN_DIR"/*/log; do
			[ ! -e "$log" ] || cp "$log" \
				"$dir/front-$(basename "$(dirname "$log")").log"
		done
	fi
	[ -z "${pid[watch]-}" ] || stop watch
	for process in $(cat "$RSWAP_FAKE"/block/nbd*/pid 2>/dev/null); do
		[ "$process" = 1 ] || kill -KILL "$process" 2>/dev/null
	done
	for process in $(daemons); do
		kill -KILL "$process" 2>/dev/null
	done
	# each change of /proc/swaps is a mount over the one before
	while umount /proc/swaps 2>/dev/null; do :; done
	umount /sys/block /proc/sys/vm/{*compact*,min_free*,watermark_s*,page-c*} 2>/dev/null
	umount --lazy /dev
	(exit "$status")
	cleanup
}
trap end_machine EXIT

# The front end, RSWAP_FRONT: its program, and the options of attach.
case $front in
nbd)
	program=rswap-nbd
	front_options=(--front=nbd)
	;;
ublk)
	program=rswap-ublk
	front_options=(--front=ublk)
	;;
nbdkit)
	program=nbdkit
	front_options=(--front=nbdkit --plugin="$plugin")
	;;
esac

# The device that attach takes first.
device=nbd0
[ "$front" != ublk ] || device=ublkb0

# device_in_metrics NAME: the path that the metrics of the attached device NAME tell
device_in_metrics() {
	local address
	address=$(grep -o 'http://127\.0\.0\.1:[0-9]*/' "$RSWAP_RUN_DIR/$1/log") || return 1
	curl -fsS "${address}metrics" | sed -n 's/^rswap_device_info{device="\(.*\)"} 1$/\1/p'
}

# Front ends whose control socket is in this test's directory.
daemons() {
	pgrep -f "^[^ ]*$program .*control=$RSWAP_RUN_DIR/" || true
}

# --- rswapctl ---

# The options that every attach here has.
attach_options() {
	printf '%s\n' --size=16M --transport=tcp --lanes=2 "${front_options[@]}"
}

# attach LOG [WORD...]: to the server a; what is said goes to $dir/LOG.log
attach() {
	local log=$1 options
	shift
	mapfile -t options < <(attach_options)
	"$ctl" attach "$(server a)" "${options[@]}" "$@" >"$dir/$log.log" 2>&1
}

# detach LOG [WORD...]
detach() {
	local log=$1
	shift
	"$ctl" detach "$@" >"$dir/$log.log" 2>&1
}

# status_of COMMAND...: its exit status, printed
status_of() {
	local status=0
	"$@" || status=$?
	echo "$status"
}

# hook TOOL WHEN <<SCRIPT: WHEN is before or after; the script runs there
hook() {
	{ echo '#!/bin/bash'; cat; } >"$RSWAP_FAKE/hook/$1-$2.new"
	chmod +x "$RSWAP_FAKE/hook/$1-$2.new"
	mv "$RSWAP_FAKE/hook/$1-$2.new" "$RSWAP_FAKE/hook/$1-$2"
}

no_hooks() {
	rm -f "$RSWAP_FAKE"/hook/*
}

# A server that accepts connections and says nothing: the process silent, whose
# port is in $dir/silent.port.
start_silent() {
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(Listen => 5,
			LocalAddr => "127.0.0.1") or die;
		$| = 1;
		print $s->sockport, "\n";
		sleep' >"$dir/silent.port" &
	pid[silent]=$!
	expect 5 test -s "$dir/silent.port"
}

# begin LOG COMMAND...: in the background, as the process LOG
begin() {
	local log=$1
	shift
	"$@" &
	pid[$log]=$!
}

# finish LOG: its exit status goes to $dir/status
finish() {
	local status=0
	wait "${pid[$1]}" || status=$?
	unset "pid[$1]"
	echo "$status" >"$dir/status"
}

# --- what the machine is like ---

# Whether so many processes have the lock file of NAME open: who holds it and who
# waits for it.
waits_for_lock() { # NAME COUNT
	local count
	count=$(find /proc/[0-9]*/fd -lname "$RSWAP_RUN_DIR/.$1.lock" 2>/dev/null |
		cut -d/ -f3 | sort -u | wc -l)
	[ "$count" -ge "$2" ]
}

# No tool of kernel.pl's is at work any more.
no_tools() {
	! pgrep -f "^[^ ]*perl $dir/bin/(nbd-netlink|mkswap|swapon|swapoff) " \
		>/dev/null
}

name_of() { # N, of nbdN, or a name
	[[ $1 == [a-z]* ]] && echo "$1" || echo "nbd$1"
}

connected() { # N
	[ -e "/sys/block/$(name_of "$1")/pid" ]
}

swaps_to() { # N
	grep -q "^/dev/$(name_of "$1") " /proc/swaps
}

done_by_tools() { # TEXT: a line of the log, as "swapon nbd0"
	grep -qxF -e "$1" "$RSWAP_FAKE/log"
}

# swap_lines <<LINES: what /proc/swaps has
swap_lines() {
	cat >"$RSWAP_FAKE/entries"
	nbd-kernel publish
}

# swap_used N KIB: so much is swapped out to /dev/nbdN
swap_used() {
	perl -pi -e 's{^(/dev/'"$(name_of "$1")"'\s+\S+\s+\d+\s+)\d+}{${1}'"$2"'}' \
		"$RSWAP_FAKE/entries"
	nbd-kernel publish
}

# A holder as device mapper makes it.
hold_device() { # N DM-NUMBER NAME
	mkdir -p "$RSWAP_FAKE/block/dm-$2/"{dm,holders,slaves}
	echo "$3" >"$RSWAP_FAKE/block/dm-$2/dm/name"
	echo "253:$2" >"$RSWAP_FAKE/block/dm-$2/dev"
	ln -s "../../dm-$2" "$RSWAP_FAKE/block/$(name_of "$1")/holders/dm-$2"
}

# The same on top of it.
hold_on_device() { # DM-NUMBER DM-NUMBER NAME
	mkdir -p "$RSWAP_FAKE/block/dm-$2/"{dm,holders,slaves}
	echo "$3" >"$RSWAP_FAKE/block/dm-$2/dm/name"
	echo "253:$2" >"$RSWAP_FAKE/block/dm-$2/dev"
	ln -s "../../dm-$2" "$RSWAP_FAKE/block/dm-$1/holders/dm-$2"
}

no_holder() { # N DM-NUMBER
	rm -r "$RSWAP_FAKE/block/$(name_of "$1")/holders/dm-$2" \
		"$RSWAP_FAKE/block/dm-$2"
}

# Nothing of an attach is there any more.
nothing_left() {
	[ -z "$(daemons)" ] && ! grep -qE 'nbd|ublk' /proc/swaps &&
		[ -z "$(ls /sys/block/nbd*/pid /dev/ublk[bc]* 2>/dev/null)" ] &&
		[ -z "$(ls "$RSWAP_RUN_DIR" 2>/dev/null)" ]
}

expect_nothing_left() { # WHAT
	! has "$RSWAP_FAKE/log" UNDER-USE ||
		fail "$1: a device was disconnected under its user"
	nothing_left || fail "$1: daemons: $(daemons); $(cat /proc/swaps);" \
		"connected: $(ls /sys/block/nbd*/pid /dev/ublk[bc]* 2>/dev/null);" \
		"directories: $(ls "$RSWAP_RUN_DIR")"
}

make_machine
