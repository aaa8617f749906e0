#!/bin/bash
# A pool whose etcd is found by name and speaks TLS: with certificates of clients, with
# users, and with what is wrong of each.  In the plain build the memory server has its
# filter of system calls, under which it looks the name up and shakes hands.
[ -n "${RSWAP_OWN_MOUNTS:-}" ] || RSWAP_OWN_MOUNTS=1 exec unshare --mount "$BASH" "$0" "$@"
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

etcd_test_is_here
certify_all

serve() { # NAME URL OPTION...
	start_server "$1" --memory=32M --slab-size=1M --pool="$2" "${@:3}"
}
state_is() { # NAME STATE
	[ "$(value "$1" pool.state)" = "$2" ]
}
fails() { # "WORD..." KEY=VALUE...
	plugin_fails size=8M lanes=4 "${@:2}"
	read -ra words <<<"$1"
	has_line "$dir/err" "${words[@]}" || fail "${*:2}: $(cat "$dir/err")"
}

say "certificates of clients"
start_tls_etcd tls
pool=etcd://etcd.test:${port[tls]}/blue
ours=(pool-ca="$dir/ca.pem" pool-cert="$dir/client.pem" pool-key="$dir/client.key")
serve a "$pool" "${ours[@]/#/--}"
expect 20 state_is a registered
[ -n "$sanitizer" ] || grep -qx $'Seccomp:\t2' "/proc/${pid[a]}/status" || fail "it has no filter"
start_plugin p pool="$pool" "${ours[@]}" size=8M timeout=60 lanes=4
expect_req p ok write:0:8M:4
stop tls KILL || true
expect 60 state_is a away
start_etcds tls
expect 60 state_is a registered
expect 60 state_is p current
expect_req p ok check:0:8M:4
stop p
serve s "$pool" --pool-ca="$dir/ca.pem" --pool-cert="$dir/stranger.pem" --pool-key="$dir/stranger.key"
serve n "$pool" --pool-ca="$dir/ca.pem"
serve o "$pool" --pool-ca="$dir/other.pem" --pool-cert="$dir/client.pem" --pool-key="$dir/client.key"
serve h "etcd://localhost:${port[tls]}/blue" "${ours[@]/#/--}"
for name in s n o h; do
	expect_line "$dir/$name.log" "pool blue: " ":${port[tls]}:" "trying again"
	state_is $name away || fail "$name registers"
	stop $name
done
expect_line "$dir/o.log" "etcd.test:${port[tls]}:" "certificate"
expect_line "$dir/h.log" "localhost:${port[tls]}:" "certificate"
fails "pool=$pool: etcd.test certificate" pool="$pool" pool-ca="$dir/other.pem" pool-cert="$dir/client.pem" \
	pool-key="$dir/client.key"
fails "pool=etcd://localhost:${port[tls]}/blue: localhost certificate" pool="etcd://localhost:${port[tls]}/blue" "${ours[@]}"
fails "pool=$pool: etcd.test" pool="$pool" pool-ca="$dir/ca.pem"
stop a
stop tls || true

say "users"
etcd_extra[users]="--cert-file=$dir/host.pem --key-file=$dir/host.key"
start_etcds users
(umask 077 && echo swap:secret >"$dir/login" && echo swap:wrong >"$dir/wrong")
asked() {
	etcd_do users --cacert="$dir/ca.pem" "$@" >/dev/null
}
expect 30 asked get /
for words in "user add root:rootpw" "user grant-role root root" "user add swap:secret" \
	"role add rswap" "role grant-permission rswap --prefix=true readwrite /rswap/" \
	"user grant-role swap rswap" "auth enable"; do
	read -ra word <<<"$words"
	asked "${word[@]}"
done
pool=etcd://etcd.test:${port[users]}/blue
serve u "$pool" --pool-ca="$dir/ca.pem" --pool-login="$dir/login"
expect 30 state_is u registered
start_plugin p pool="$pool" pool-ca="$dir/ca.pem" pool-login="$dir/login" size=8M lanes=4 \
	pool-reserve=all encrypt=off checksum=off timeout=60
[ "$(value p pool.reserved_bytes)" = $((8 << 20)) ] || fail "$(ask p | grep ^pool)"
expect_req p ok write:0:8M:5
# a restarted etcd knows no token
stop users KILL || true
start_etcds users
expect 60 state_is u registered
expect 60 state_is p current
expect_req p ok check:0:8M:5
stop p
fails "pool=$pool: password" pool="$pool" pool-ca="$dir/ca.pem" pool-login="$dir/wrong"
stop u
stop users || true
