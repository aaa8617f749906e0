#!/bin/bash
# Two devices reserve memory of a pool at the same moment, in a real etcd: each has read
# what is reserved before the other one's transaction is there.  So etcd refuses the
# second transaction, and that device looks again.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

ctl=$build/ctl/rswapctl
make_keys alpha beta

unreserved_is_0() {
	! etcd_do e get --prefix /rswap/1/blue/servers/ --print-value-only | grep . |
		grep -qv '"unreserved_bytes":0[,}]'
}
# Opens once, for two that meet.
gate() {
	expect 40 unreserved_is_0
	rm -f "$dir"/gate.{port,log}
	perl "$src/tests/integration/pool-gate.pl" "${port[e]}" >"$dir/gate.port" 2>"$dir/gate.log" &
	pid[gate]=$!
	expect 20 test -s "$dir/gate.port"
	port[gate]=$(cat "$dir/gate.port")
}
begin_device() { # NAME IDENTITY [SERVER] KEY=VALUE...
	rm -f "$dir/$1".{log,sock}
	"$rswap_nbd" -U "$dir/$1.sock" control="$dir/$1.ctl" "${@:3}" \
		pool="etcd://$(server gate)/blue" psk-file="$dir/$2.key" encrypt=off checksum=off \
		timeout=60 lanes=4 pool-reserve=all >"$dir/$1.log" 2>&1 &
	pid[$1]=$!
}
# They have met: of the transactions so many were done and so many refused.
met() { # DONE REFUSED
	expect 40 serves_or_ended x
	expect 40 serves_or_ended y
	[ "$(lines_with "$dir/gate.log" "done") $(lines_with "$dir/gate.log" refused)" = "$1 $2" ] ||
		fail "not $1 done and $2 refused: $(tr '\n' ' ' <"$dir/gate.log")"
}
# Sets has_it to the one that serves, where the other one has ended, with these words in
# its only line.
one_has_it() { # WORD...
	local name lost=
	has_it=
	for name in x y; do
		if alive $name; then
			has_it+=$name
		else
			lost=$name
			unset "pid[$name]"
		fi
	done
	[ ${#has_it} = 1 ] || fail "\"$has_it\" have it"
	expect_one_line "$dir/$lost.log" "$@"
}
reserved() { # N keys, sums of identities included
	[ "$(etcd_do e get --prefix /rswap/1/blue/reserv --keys-only | grep -c .)" = "$1" ] ||
		fail "not $1 keys: $(etcd_do e get --prefix /rswap/1/blue/reserv)"
}
end_devices() { # NAME...
	local name
	for name; do
		stop "$name"
	done
	stop gate || true
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
for name in a b; do
	start_server $name --memory=32M --slab-size=1M --grace=5 --psk-file="$dir/keys" --pool="$pool"
done
expect 20 registered 2

say "of two that want the last slabs exactly one has them"
gate
begin_device x alpha size=34M
begin_device y beta size=34M
met 1 1
one_has_it "pool-reserve=all: 34M are wanted, and 2 servers of the pool have 30M free to reserve" \
	"of 64M in all, at an overcommit of 1.000, others reserve 34M"
reserved 3
expect_req "$has_it" ok write:0:17M:4
expect_req "$has_it" ok write:17M:17M:5
end_devices "$has_it"

say "of two that find room together both have it: the second one at its next attempt"
gate
begin_device x alpha size=30M
begin_device y beta size=34M
met 2 1
reserved 6
for name in x y; do
	alive $name || fail "$name has ended: $(cat "$dir/$name.log")"
done
expect_req x ok write:0:30M:4
expect_req y ok write:0:17M:5
expect_req y ok write:17M:17M:6
expect_req x ok check:0:30M:4
expect_req y ok check:0:17M:5
end_devices x y

say "of two of one identity, on two servers, exactly one has what is left of the quota"
"$ctl" pool reserve "$pool" --tenant=alpha --quota=20M >/dev/null
gate
begin_device x alpha "$(server a)" servers-max=1 size=16M
begin_device y alpha "$(server b)" servers-max=1 size=16M
met 1 1
one_has_it "pool-reserve=all: 16M are wanted, and identity alpha reserves 16M already, of its quota of 20M"
reserved 2
end_devices "$has_it"
stop a
stop b
stop e || true
