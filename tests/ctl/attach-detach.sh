#!/bin/bash
# Attach and detach where nothing goes wrong: every step is taken, in order, and
# nothing is left.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

say "with the device's name"
attach first --metrics=0 || fail "attach: $(cat "$dir/first.log")"
connected 0 && swaps_to 0 || fail "nbd0 is no swap"
[ "$(daemons | wc -l)" = 1 ] || fail "daemons: $(daemons)"
metrics=$(grep -o 'http://127\.0\.0\.1:[0-9]*/' "$RSWAP_RUN_DIR/$device/log")
curl -fsS "${metrics}metrics" >"$dir/metrics" || fail "no metrics at $metrics"
[ "$(device_in_metrics $device)" = /dev/$device ] || fail "not in $(cat "$dir/metrics")"
grep -q '^rswap_clients [1-9]' "$dir/metrics" ||
	fail "who swaps there? $(grep ^rswap_clients "$dir/metrics")"
detach first nbd0 || fail "detach: $(cat "$dir/first.log")"
expect_nothing_left "detach"

say "the journal's stream is another one, which rswapctl inherited"
JOURNAL_STREAM=1:1 "$ctl" attach "$(server a)" --size=16M --transport=tcp --lanes=2 \
	"${front_options[@]}" 2>&1 | timeout 120 cat >"$dir/piped.log" ||
	fail "the front end keeps the pipe: $(cat "$dir/piped.log")"
[ -s "$RSWAP_RUN_DIR/$device/log" ] || fail "it has no log"
detach piped nbd0 || fail "detach: $(cat "$dir/piped.log")"

say "the journal is standard error"
touch "$dir/journal"
JOURNAL_STREAM=$(stat -c %d:%i "$dir/journal") "$ctl" attach "$(server a)" --size=16M \
	--transport=tcp --lanes=2 "${front_options[@]}" >"$dir/one.log" 2>"$dir/journal" ||
	fail "attach: $(cat "$dir/one.log" "$dir/journal")"
[ ! -e "$RSWAP_RUN_DIR/$device/log" ] || fail "it has a log beside the journal"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
[ -s "$dir/journal" ] || fail "the front end says nothing in the journal"
expect_nothing_left "the journal"

say "with an address that is none"
! attach wrong --metrics=1.2.3.4 || fail "it is attached"
expect_line "$dir/wrong.log" "metrics=1.2.3.4" "HOST:PORT"
expect_nothing_left "attach"

say "with a name of its own; the first device is somebody else's"
nbd-kernel foreign 0
attach second --name=far || fail "attach: $(cat "$dir/second.log")"
connected 1 && swaps_to 1 || fail "nbd1 is no swap"
detach second far || fail "detach: $(cat "$dir/second.log")"
connected 0 || fail "the foreign device is not connected any more"
