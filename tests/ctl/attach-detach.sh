#!/bin/bash
# Attach and detach where nothing goes wrong: every step is taken, in order, and
# nothing is left.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

say "with the device's name"
attach first || fail "attach: $(cat "$dir/first.log")"
connected 0 && swaps_to 0 || fail "nbd0 is no swap"
[ "$(nbdkits | wc -l)" = 1 ] || fail "nbdkits: $(nbdkits)"
detach first nbd0 || fail "detach: $(cat "$dir/first.log")"
expect_nothing_left "detach"

say "with a name of its own; the first device is somebody else's"
nbd-kernel foreign 0
attach second --name=far || fail "attach: $(cat "$dir/second.log")"
connected 1 && swaps_to 1 || fail "nbd1 is no swap"
detach second far || fail "detach: $(cat "$dir/second.log")"
connected 0 || fail "the foreign device is not connected any more"
