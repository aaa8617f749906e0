#!/bin/bash
# rswapctl pool rebalance --dry-run: how unevenly the servers of a pool in a real etcd
# are filled, and what front ends would move.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

ctl=$build/ctl/rswapctl

# plan STATUS WORD...: rswapctl pool rebalance ends with that status
plan() {
	local status=0
	"$ctl" pool rebalance "$pool" "${@:2}" >"$dir/said" 2>"$dir/err" || status=$?
	[ "$status" = "$1" ] ||
		fail "pool rebalance ${*:2}: exit status $status, $(cat "$dir/said" "$dir/err")"
}

# memory NAME FREE [ZONE]: a server of 64 GiB, by its key alone
memory() {
	etcd_do e put "/rswap/1/blue/servers/$1:1" "{\"address\":\"$1:1\",
		\"transports\":[\"tcp\"],${3:+\"zone\":\"$3\",}
		\"incarnation\":\"0123456789abcdef0123456789abcdef\",\"state\":\"serving\",
		\"slab_bytes\":2097152,\"memory_bytes\":$((64 << 30)),
		\"free_bytes\":$(($2 << 30))}" >/dev/null
}

say "what is not allowed, nobody answers, nobody is there"
pool=etcd://127.0.0.1:1/blue
plan 2
expect_one_line "$dir/err" "front ends rebalance by themselves: allowed is rebalance --dry-run"
plan 1 --dry-run --watch
expect_one_line "$dir/err" "--watch is allowed only with status"
plan 3 --dry-run
expect_one_line "$dir/err" "rswapctl pool: 127.0.0.1:1:"
! "$ctl" pool status "$pool" --dry-run 2>"$dir/err" || fail "--dry-run is taken"
expect_one_line "$dir/err" "--dry-run is allowed only with rebalance"
start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
plan 2 --dry-run
expect_line "$dir/said" "pool blue: 0 servers serving"

say "servers that are as full as each other"
memory store-1 32 left
memory store-2 32
plan 0 --dry-run
expect_line "$dir/said" "pool blue: 2 servers serving, 50.0 % in use; spread of fill 0.0 %"
expect_line "$dir/said" "store-1:1" left "50.0 %" "as the mean"
expect_line "$dir/said" "0 B in 0 slabs would move"

say "one that joined"
memory store-3 64
plan 0 --dry-run
expect_line "$dir/said" "33.3 % in use; spread of fill 50.0 %"
expect_line "$dir/said" "store-1:1" "50.0 %" "10.7 GiB  too much"
expect_line "$dir/said" "store-3:1" "0.0 %" "21.3 GiB  too little"
plan 0 --dry-run --json
perl "$src/tests/flatten.pl" <"$dir/said" >"$dir/flat"
for line in "pool blue" "fill_ppm 333333" "spread_ppm 500000" "servers.0.address store-1:1" \
	"servers.0.zone left" "servers.0.fill_ppm 500000" "servers.2.excess_bytes -22906492245"; do
	grep -qxF "$line" "$dir/flat" || fail "no $line in $(cat "$dir/flat")"
done
# of the 21.3 GiB that it lacks, all but what is not worth a move
awk '{ v[$1] = $2 }
	END { exit !(v["move_bytes"] == v["move_slabs"] * 2097152 &&
		20 * 2^30 < v["move_bytes"] && v["move_bytes"] < 22 * 2^30) }' "$dir/flat" ||
	fail "moves: $(grep move "$dir/flat")"
stop e || true
