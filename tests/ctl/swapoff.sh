#!/bin/bash
# detach shows how far swapoff is, begins none where there is no place for what comes
# back, and stops one where memory runs out meanwhile: swap stays on then, and is
# detached once there is memory again.
. "$(dirname "$0")/harness.sh"

requires script --version
mkdir "$RSWAP_FAKE/dev/pts"
requires mount -t devpts -o ptmxmode=666 devpts /dev/pts
ln -s pts/ptmx /dev/ptmx

start_server a --memory=64M --slab-size=1M

# memory MIB: so much is available, of 640 MiB; a 32nd, 20 MiB, stays for the machine
meminfo=$RSWAP_FAKE/meminfo
memory() {
	printf 'MemTotal: %d kB\nMemAvailable: %d kB\n' $((640 * 1024)) \
		$(($1 * 1024)) >"$meminfo"
}
cat /proc/meminfo >"$meminfo"
mount --bind "$meminfo" /proc/meminfo

# brings_back: for hooks; so much is still to come back, and detach tells that it is
# so many percent
brings_back() { # KIB-LEFT PERCENT
	local look
	swap_used 0 "$1"
	for look in {1..300}; do
		grep -aq "are back ($2 %)" "$dir/one.log" && return
		sleep 0.05
	done
	exit 1
}
export dir
export -f swap_used name_of brings_back

still_attached() {
	swaps_to 0 || fail "swap is off"
	connected 0 || fail "it is disconnected"
	[ -n "$(daemons)" ] || fail "the front end is gone"
	! done_by_tools "swapoff $device" || fail "swapoff was not stopped"
}

say "a line for each tenth"
memory 500
attach one || fail "attach: $(cat "$dir/one.log")"
swap_used 0 102400
hook swapoff before <<'HOOK'
brings_back 92160 10
swap_used 0 91136 # within the tenth that was told of
sleep 0.3
brings_back 51200 50
brings_back 10240 90
HOOK
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
expect_line "$dir/one.log" "swapoff /dev/nbd0 (100 MiB to bring back)"
expect_line "$dir/one.log" "10 MiB of 100 MiB are back (10 %)" left
expect_line "$dir/one.log" "50 MiB of 100 MiB are back (50 %)" left
expect_line "$dir/one.log" "100 MiB are back, after"
[ "$(grep -c "MiB are back (" "$dir/one.log")" -le 4 ] ||
	fail "more than a line for each tenth: $(cat "$dir/one.log")"
! grep -q $'\033' "$dir/one.log" || fail "it is no terminal"
expect_nothing_left "with progress"

say "on a terminal one line"
attach one || fail "attach: $(cat "$dir/one.log")"
swap_used 0 102400
hook swapoff before <<'HOOK'
brings_back 101376 1
brings_back 51200 50
HOOK
SHELL=$BASH TERM=dumb script -qefc "$ctl detach nbd0" "$dir/one.log" >/dev/null </dev/null ||
	fail "detach: $(cat "$dir/one.log")"
[ "$(grep -ac "MiB are back (" "$dir/one.log")" = 1 ] ||
	fail "more than a line: $(cat "$dir/one.log")"
grep -aq $'\r\033\[K  1 MiB of 100 MiB are back (1 %), .* left\r\033\[K' \
	"$dir/one.log" || fail "it does not move: $(cat -v "$dir/one.log")"
expect_nothing_left "on a terminal"
no_hooks

say "there is no place for what comes back"
: >"$RSWAP_FAKE/log"
attach one || fail "attach: $(cat "$dir/one.log")"
swap_used 0 102400
memory 110
[ "$(status_of detach one nbd0)" = 1 ] || fail "detach: $(cat "$dir/one.log")"
expect_one_line "$dir/one.log" "rswapctl detach: nbd0:" "/dev/nbd0 holds 100 MiB" \
	"there are 90 MiB for it" "memory 110" "other swap 0" "20 stay" \
	"use --force"
still_attached

say "in the journal that is an error"
: >"$dir/one.log"
[ "$(JOURNAL_STREAM=$(stat -c %d:%i "$dir/one.log") status_of detach one nbd0)" = 1 ] ||
	fail "detach: $(cat "$dir/one.log")"
expect_one_line "$dir/one.log" "<3>rswapctl detach: nbd0:" "/dev/nbd0 holds 100 MiB"
[ "$(JOURNAL_STREAM=$(stat -c %d:%i "$dir/one.log") status_of detach one --timeout=0)" = 1 ] ||
	fail "detach: $(cat "$dir/one.log")"
expect_one_line "$dir/one.log" "<3>rswapctl detach: --timeout=0"

# beside [LINE]: swap beside the device, and no other
beside() {
	local own
	own=$(grep "^/dev/$device " "$RSWAP_FAKE/entries")
	printf '%s\n' "$own" "$@" | swap_lines
}

say "no place is on zram, which is memory, nor on a device that is gone"
mkdir -p "$RSWAP_FAKE/block/zram0"
echo 409600 >"$RSWAP_FAKE/block/zram0/size"
for line in "/dev/zram0 partition 204800 0 100" "/dev/ublkb7 partition 204800 0 100" \
	"/dev/nbd3 partition 204800 0 100"; do # nbd3 has no size
	beside "$line"
	[ "$(status_of detach one nbd0)" = 1 ] || fail "$line: $(cat "$dir/one.log")"
	expect_one_line "$dir/one.log" "there are 90 MiB for it" "other swap 0"
	still_attached
done
beside

say "memory runs out while swapoff is at work"
memory 130
hook swapoff before <<'HOOK'
swap_used 0 81920
printf 'MemTotal: 655360 kB\nMemAvailable: 20000 kB\n' >"$RSWAP_FAKE/meminfo"
for look in {1..600}; do [ -d /proc/$PPID ] || exit; sleep 0.02; done
HOOK
[ "$(status_of detach one nbd0)" = 1 ] || fail "detach: $(cat "$dir/one.log")"
grep "^rswapctl detach:" "$dir/one.log" >"$dir/why"
expect_one_line "$dir/why" "nbd0: swapoff is stopped and swap stays on" \
	"80 MiB of /dev/nbd0 are still to come back" "there are 0 MiB for it"
still_attached

say "and the same with --force, which only begins"
memory 60
[ "$(status_of detach one nbd0 --force)" = 1 ] ||
	fail "detach: $(cat "$dir/one.log")"
expect_line "$dir/one.log" "warning:" "holds 80 MiB" "there are 40 MiB for it"
expect_line "$dir/one.log" "swapoff is stopped and swap stays on"
still_attached

say "and the same where pages went there before swapoff began"
memory 130
hook swapoff before <<'HOOK'
swap_used 0 92160 # 10 MiB more
printf 'MemTotal: 655360 kB\nMemAvailable: 20000 kB\n' >"$RSWAP_FAKE/meminfo"
for look in {1..600}; do [ -d /proc/$PPID ] || exit; sleep 0.02; done
HOOK
[ "$(status_of detach one nbd0)" = 1 ] || fail "detach: $(cat "$dir/one.log")"
grep "^rswapctl detach:" "$dir/one.log" >"$dir/why"
expect_one_line "$dir/why" "nbd0: swapoff is stopped and swap stays on" \
	"90 MiB of /dev/nbd0 are still to come back" "there are 0 MiB for it"
still_attached
no_hooks

say "other swap has a place"
memory 60
echo 409600 >"$RSWAP_FAKE/block/nbd3/size"
beside "/dev/nbd3 partition 204800 102400 -2"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
swap_lines </dev/null
expect_nothing_left "the end"
