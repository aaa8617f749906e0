#!/bin/bash
# rswapctl ping and try with a pool in a real etcd, in the place of servers.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"
. "$(dirname "$0")/trial-functions.bash"

say "what is not allowed, nobody answers"
for command in ping try; do
	leaves_nothing $command 1 --pool=e1/blue
	expect_one_line "$dir/err" "--pool=e1/blue is not allowed" "etcd://HOST[:PORT]"
	leaves_nothing $command 1 host --pool=etcd://127.0.0.1:1/blue
	expect_one_line "$dir/err" "host: allowed is one of SERVER and --pool=URL"
done
leaves_nothing ping 1 --pool=etcd://127.0.0.1:1/blue --pool-cert=x
expect_one_line "$dir/err" "--pool-cert" "--pool-key"
leaves_nothing ping 3 --pool=etcd://127.0.0.1:1/blue
expect_one_line "$dir/err" "rswapctl ping: --pool=etcd://127.0.0.1:1/blue: 127.0.0.1:1:"
leaves_nothing try 1 --pool=etcd://127.0.0.1:1/blue
expect_one_line "$dir/err" "rswapctl try: " "127.0.0.1:1"

say "nobody is there"
start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
leaves_nothing ping 2 --pool="$pool"
expect_one_line "$dir/err" "none of its 0 servers is serving"

say "each server that is serving"
start_server a --memory=64M --slab-size=1M --zone=left --pool="$pool"
start_server b --memory=64M --slab-size=1M --pool="$pool"
expect 40 registered 2
leaves_nothing ping 0 --pool="$pool" --count=3 --interval=0
expect_line "$dir/said" "$(server a)" left tcp " 3/3 "
expect_line "$dir/said" "$(server b)" " - " tcp " 3/3 "
[ "$(wc -l <"$dir/said")" = 3 ] || fail "not one row a server: $(cat "$dir/said")"
expect_value a reads -eq 3

say "one that drains, and one that is not there"
"$ctl" drain --control="$dir/b.ctl" >/dev/null
etcd_do e put /rswap/1/blue/servers/127.0.0.1:1 '{"address":"127.0.0.1:1",
	"transports":["tcp"],"incarnation":"0123456789abcdef0123456789abcdef",
	"state":"serving","slab_bytes":1048576,"memory_bytes":67108864,
	"free_bytes":67108864}' >/dev/null
drains() {
	[ "$("$ctl" pool status "$pool" | grep -c " draining ")" = 1 ]
}
expect 20 drains
leaves_nothing ping 1 --pool="$pool" --count=2 --interval=0
expect_line "$dir/said" "$(server a)" " 2/2 "
expect_line "$dir/said" "127.0.0.1:1 " " - " "Connection refused"
! has "$dir/said" "$(server b)" || fail "b is asked"
leaves_nothing ping 1 --pool="$pool" --count=2 --interval=0 --json
perl "$src/tests/flatten.pl" <"$dir/said" >"$dir/flat"
expect_line "$dir/flat" "0.server 127.0.0.1:1"
expect_line "$dir/flat" "0.error" "Connection refused"
expect_line "$dir/flat" "1.server $(server a)"
expect_line "$dir/flat" "1.received 2"
etcd_do e del /rswap/1/blue/servers/127.0.0.1:1 >/dev/null
"$ctl" drain --control="$dir/b.ctl" --undo >/dev/null
serves() {
	! drains
}
expect 20 serves

say "a device of the pool"
leaves_nothing try 0 --pool="$pool" size=4M replicas=2
expect_line "$dir/said" "server  $(server a) over tcp"
expect_line "$dir/said" "server  $(server b) over tcp"
expect_line "$dir/said" "all is well, and all is removed again"
expect 10 is a slabs_used -eq 0
stop a
stop b
stop e || true
