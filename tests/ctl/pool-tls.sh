#!/bin/bash
# Attach by a pool whose etcd speaks TLS and wants certificates: with the right files, and
# not with another authority, under another name, or without a certificate.
. "$(dirname "$0")/harness.sh"
. "$src/tests/integration/etcd-functions.bash"

etcd_test_is_here
certify_all
start_tls_etcd tls
pool=etcd://etcd.test:${port[tls]}/blue
ours=(--pool-ca="$dir/ca.pem" --pool-cert="$dir/client.pem" --pool-key="$dir/client.key")

attach_pool() { # LOG URL [OPTION...]
	local log=$1 options
	mapfile -t options < <(attach_options)
	"$ctl" attach "${options[@]}" --pool="$2" "${@:3}" >"$dir/$log.log" 2>&1
}
refused() { # WORD URL [OPTION...]: the word is what is wrong
	! attach_pool refused "${@:2}" || fail "attached with ${*:2}"
	expect_line "$dir/refused.log" "pool=$2: " "$1"
	expect_nothing_left "attach"
}

start_server a --memory=64M --slab-size=1M --pool="$pool" "${ours[@]}"
is_registered() { [ "$(value a pool.state)" = registered ]; }
expect 20 is_registered

say "it is refused"
refused certificate "$pool" --pool-ca="$dir/other.pem" "${ours[@]:1}"
refused certificate "etcd://localhost:${port[tls]}/blue" "${ours[@]}"
refused "etcd.test:${port[tls]}" "$pool" --pool-ca="$dir/ca.pem" \
	--pool-cert="$dir/stranger.pem" --pool-key="$dir/stranger.key"
refused "etcd.test:${port[tls]}" "$pool" --pool-ca="$dir/ca.pem"
refused "etcd.test:${port[tls]}" "$pool"
! attach_pool refused "$pool" --pool-ca=ca.pem "${ours[@]:1}" || fail "a relative path is taken"
expect_line "$dir/refused.log" "--pool-ca=ca.pem: allowed is an absolute path"

say "it is taken, and follows its pool"
attach_pool first "$pool" "${ours[@]}" --pool-reserve=all || fail "attach: $(cat "$dir/first.log")"
swaps_to 0 || fail "nbd0 is no swap"
"$ctl" status nbd0 >"$dir/said" || fail "status: $(cat "$dir/said")"
expect_line "$dir/said" "pool  " "blue, current for" "etcd at etcd.test:${port[tls]}"
start_server b --memory=64M --slab-size=1M --pool="$pool" "${ours[@]}"
uses_two() { "$ctl" status nbd0 | grep -q "2 in use of 16 allowed"; }
expect 20 uses_two
detach first nbd0 || fail "detach: $(cat "$dir/first.log")"
expect_nothing_left "detach"
stop b
stop a
stop tls || true
