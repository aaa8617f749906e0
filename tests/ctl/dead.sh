#!/bin/bash
# What is left of an attach whose front end died, or whose state is not whole, can be
# taken away: no memory is asked for what cannot come back, and detach says what
# is lost.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

say "the front end is killed, with more swapped out than memory could hold"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
# 8 TiB
swap_used 0 $((8 << 30))
[ "$(status_of detach far far)" = 1 ] || fail "$(cat "$dir/far.log")"
expect_line "$dir/far.log" "/dev/nbd0 holds 8388608 MiB" "--force"
process=$(daemons)
kill -KILL "$process"
expect 10 gone "$process"
[ "$(status_of detach far far)" = 2 ] || fail "$(cat "$dir/far.log")"
expect_line "$dir/far.log" "swapoff /dev/nbd0 (8388608 MiB are lost" \
	"$program, process $process, is gone"
! has "$dir/far.log" "bring back" || fail "$(cat "$dir/far.log")"
expect_line "$dir/far.log" "far is detached; 8388608 MiB" "are lost"
expect_nothing_left "a dead front end"

say "the device is disconnected by hand under swap"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
swap_used 0 $((8 << 30))
mv "$RSWAP_FAKE/log" "$dir/kept"
nbd-kernel disconnect 0
mv "$dir/kept" "$RSWAP_FAKE/log"
[ "$(status_of detach far far)" = 2 ] || fail "$(cat "$dir/far.log")"
expect_line "$dir/far.log" "8388608 MiB are lost" "not connected to $program"
expect_nothing_left "disconnected by hand"

say "a state file without its device, and a directory without a state file"
mkdir -p "$RSWAP_RUN_DIR"/{one,two,three}
: >"$RSWAP_RUN_DIR/one/state"
echo "device /dev/nbd77" >"$RSWAP_RUN_DIR/three/state"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
detach all --all || fail "$(cat "$dir/all.log")"
expect_nothing_left "detach --all"
mkdir "$RSWAP_RUN_DIR/one"
: >"$RSWAP_RUN_DIR/one/state"
detach one one || fail "$(cat "$dir/one.log")"
expect_nothing_left "detach of a directory"

say "a state file was lost while all runs"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
rm "$RSWAP_RUN_DIR/far/state"
detach far far || fail "$(cat "$dir/far.log")"
expect_nothing_left "a lost state file"
