#!/bin/bash
# rswapctl bench: on a temporary device, beside an attached one with its servers and
# keys, whose pages it does not touch; or on one that the command line tells of.
. "$(dirname "$0")/harness.sh"

export TMPDIR=$dir/tmp
mkdir "$TMPDIR"
start_server a --memory=64M --slab-size=1M
start_server b --memory=64M --slab-size=1M

# bench STATUS WORD...: with this exit status; what it says goes to $dir/said, and its
# errors to $dir/err
bench() {
	local status=0
	"$ctl" bench --seconds=4 --size=4M "${@:2}" >"$dir/said" 2>"$dir/err" ||
		status=$?
	[ "$status" = "$1" ] ||
		fail "bench ${*:2}: exit status $status: $(cat "$dir/said" "$dir/err")"
	[ -z "$(ls "$TMPDIR")" ] || fail "bench ${*:2} left $(ls "$TMPDIR")"
}

no_daemons() { [ -z "$(daemons)" ]; }

say "beside an attached device"
attach far "$(server b)" --name=far --replicas=2 --encrypt=off --metrics=0 \
	--fallback="$dir/spill" --fallback-size=1M ||
	fail "attach: $(cat "$dir/far.log")"
status_of_far() { "$ctl" status --json far | perl "$src/tests/flatten.pl"; }
counts() {
	status_of_far | grep -E '^targets\.0\.status\.(reads|writes|zeroes|trims|local_reads) '
}
counts >"$dir/before"
bench 0 far
expect_line "$dir/said" "server  $(server a) over tcp"
expect_line "$dir/said" "server  $(server b) over tcp"
expect_line "$dir/said" "device  4 MiB, 2 copies of each page, cipher none, 2 lanes"
for run in "read 1" "write 1" "read 32" "write 32"; do
	grep -qE "^${run/ / +} +[1-9][0-9]* .* (us|ms|s) .* (us|ms|s)$" "$dir/said" ||
		fail "no figures of $run: $(cat "$dir/said")"
done
expect_value a writes -gt 1024 # of 4 MiB, and then those that are measured
expect_value a reads -gt 0
diff "$dir/before" <(counts) || fail "the attached device had requests"
swaps_to 0 || fail "swap is off"
connected 0 || fail "it is disconnected"
# what it took is given back
expect 10 is a slabs_used -eq 0
expect_value a sessions -eq 1

say "as JSON"
bench 0 far --json
perl "$src/tests/flatten.pl" <"$dir/said" >"$dir/flat"
for line in "runs.0.operation read" "runs.0.depth 1" "runs.3.operation write" \
	"runs.3.depth 32" "status.replicas 2"; do
	grep -qxF "$line" "$dir/flat" || fail "no $line in $(cat "$dir/flat")"
done
awk '$1 ~ /pages_per_s|p50_us|p99_us/ { n += $2 > 0 } END { exit n != 12 }' \
	"$dir/flat" || fail "figures: $(cat "$dir/flat")"

say "a device of its own"
bench 0 "$(server a)" lanes=3
expect_line "$dir/said" "1 copy of each page, cipher" "3 lanes"

say "what cannot be"
bench 1 nobody
expect_one_line "$dir/err" "rswapctl bench: " nobody
bench 1
expect_one_line "$dir/err" "NAME or SERVER is missing"
kill -KILL "$(daemons)"
expect 10 no_daemons
bench 1 far
expect_one_line "$dir/err" "far: $program does not run"
detach far far || [ $? = 2 ] || fail "detach: $(cat "$dir/far.log")"
