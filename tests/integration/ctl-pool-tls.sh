#!/bin/bash
# rswapctl and a pool whose etcd speaks TLS and wants certificates: each command that asks
# etcd takes it with the right files, and none with another authority, under another name,
# or without a certificate.  attach is in tests/ctl/pool-tls.sh.
[ -n "${RSWAP_OWN_MOUNTS:-}" ] || RSWAP_OWN_MOUNTS=1 exec unshare --mount "$BASH" "$0" "$@"
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"
. "$(dirname "$0")/trial-functions.bash"

etcd_test_is_here
certify_all
start_tls_etcd tls
pool=etcd://etcd.test:${port[tls]}/blue
elsewhere=etcd://localhost:${port[tls]}/blue
ours=(pool-ca="$dir/ca.pem" pool-cert="$dir/client.pem" pool-key="$dir/client.key")
other=(pool-ca="$dir/other.pem" "${ours[@]:1}")
strange=(pool-ca="$dir/ca.pem" pool-cert="$dir/stranger.pem" pool-key="$dir/stranger.key")

start_server a --memory=32M --slab-size=1M --pool="$pool" "${ours[@]/#/--}"
is_registered() { [ "$(value a pool.state)" = registered ]; }
expect 20 is_registered

# asks COMMAND STATUS URL KEY=VALUE...: rswapctl COMMAND, in which URL stands for the
# pool's; its exit status
asks() {
	local words files=("${@:4}")
	read -ra words <<<"${1/URL/$3}"
	[ "${words[0]}" = try ] || files=("${files[@]/#/--}")
	leaves_nothing "${words[0]}" "$2" "${words[@]:1}" "${files[@]}"
}

# expect_refused COMMAND STATUS
expect_refused() {
	asks "$1" "$2" "$pool" "${other[@]}"
	expect_line "$dir/err" "etcd.test" "certificate"
	asks "$1" "$2" "$elsewhere" "${ours[@]}"
	expect_line "$dir/err" "localhost" "certificate"
	asks "$1" "$2" "$pool" "${strange[@]}"
	expect_line "$dir/err" "etcd.test:${port[tls]}"
	asks "$1" "$2" "$pool" "${ours[0]}"
	expect_line "$dir/err" "etcd.test:${port[tls]}"
	# no TLS at all
	asks "$1" "$2" "$pool"
	expect_line "$dir/err" "etcd.test:${port[tls]}"
}

order_drain="pool drain URL $(server a)"
say "it is refused"
for command in "pool status URL" "$order_drain" "$order_drain --stop" "pool reserve URL" \
	"pool reserve URL --tenant=alpha --quota=1G" "ping --pool=URL"; do
	expect_refused "$command" 3
done
expect_refused "try --pool=URL size=4M" 1
[ "$(value a state)" = serving ] || fail "a is $(value a state)"

say "it is taken"
asks "pool status URL" 0 "$pool" "${ours[@]}"
expect_line "$dir/said" "pool blue: 1 server, " "32 MiB free of 32 MiB"
! has "$dir/said" alpha || fail "a quota was set: $(cat "$dir/said")"
asks "pool reserve URL --tenant=alpha --quota=1G" 0 "$pool" "${ours[@]}"
asks "pool reserve URL" 0 "$pool" "${ours[@]}"
expect_line "$dir/said" alpha "1 GiB"
asks "ping --pool=URL --count=2 --interval=0" 0 "$pool" "${ours[@]}"
expect_line "$dir/said" "$(server a)" " 2/2 "
asks "try --pool=URL size=4M" 0 "$pool" "${ours[@]}"
expect_line "$dir/said" "all is well, and all is removed again"
asks "$order_drain --wait" 0 "$pool" "${ours[@]}"
expect_line "$dir/said" "$(server a): draining, with 0 slabs"
asks "$order_drain --stop" 0 "$pool" "${ours[@]}"
expect_line "$dir/said" "$(server a): serving"

say "files that cannot be"
for command in "pool status URL" "ping --pool=URL"; do
	asks "$command" 1 "$pool" pool-ca="$dir/none.pem"
	expect_one_line "$dir/err" "$dir/none.pem: No such file"
	asks "$command" 1 "$pool" "${ours[@]:0:2}"
	expect_one_line "$dir/err" "--pool-cert" "--pool-key"
done
stop a
stop tls || true
