#!/bin/bash
# Memory servers register in a pool, in a real etcd: what the key says, that it goes
# and comes back, and that clients are served whatever etcd does.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"
. "$(dirname "$0")/metrics-functions.bash"

ctl=$build/ctl/rswapctl

# key NAME PATH: a member of what NAME registered; nothing without a key
key() {
	etcd_do e get "/rswap/1/blue/servers/$(server "$1")" --print-value-only |
		perl "$src/tests/flatten.pl" 2>/dev/null | sed -n "s/^$2 //p"
}

key_is() { # NAME PATH VALUE
	[ "$(key "$1" "$2")" = "$3" ]
}

keys() {
	etcd_do e get --prefix /rswap/ --keys-only | grep -c . || true
}

keys_are() { # N
	[ "$(keys)" = "$1" ]
}

pool_is() { # NAME STATE
	[ "$(value "$1" pool.state)" = "$2" ]
}

# The metrics of NAME tell whether clients find it.
metrics_tell() { # NAME 0-OR-1
	scrape "$1"
	expect_metric "$1" rswap_memserver_pool_registered "$2"
}

# load_is NAME OPERATOR N: what NAME registered as its load, in thousandths of one
# processor, however many the machine has
load_is() {
	local permille
	permille=$(key "$1" load_permille)
	[ "$permille" ] &&
		test $((permille * $(getconf _NPROCESSORS_ONLN))) "$2" "$3"
}

say "options"
for url in etcd:// etcd://e1 etcd:///blue http://e1/blue etcd://e1/ etcd://e1/Blue \
	etcd://e1,/blue etcd://,e1/blue etcd://e1:0/blue etcd://e1:x/blue etcd://e1/blue/x \
	etcd://1,2,3,4,5,6,7,8,9/blue; do
	server_refuses "--pool=$url allowed etcd://HOST" --memory=64M --pool="$url"
done
server_refuses "--pool-ca allowed only with --pool=URL" --memory=64M --pool-ca=x
server_refuses "--pool-cert --pool-key both or none" --memory=64M \
	--pool=etcd://127.0.0.1:1/blue --pool-ca=x --pool-cert=y
server_refuses "--pool-cert=y allowed only with --pool-ca=FILE" --memory=64M \
	--pool=etcd://127.0.0.1:1/blue --pool-cert=y --pool-key=z
server_refuses "--pool: $dir/none: No such file" --memory=64M \
	--pool=etcd://127.0.0.1:1/blue --pool-ca="$dir/none"
server_refuses "--listen=0.0.0.0 --pool-address=HOST[:PORT]" --memory=64M \
	--allow-unauthenticated --listen=0.0.0.0:0 --pool=etcd://127.0.0.1:1/blue

say "only a pool takes libcurl"
! ldd "$memserver" "$ctl" | grep libcurl || fail "it is linked"

say "it registers"
start_etcds e
# by a name, which means ::1 as well, where nobody listens
pool=etcd://localhost:${port[e]}/blue
serve() { # NAME OPTION...
	start_server "$1" --memory=64M --slab-size=1M --grace=5 --pool="$pool" "${@:2}"
}
serve a --zone=rack-7 --metrics=0
serve b
expect 20 keys_are 2
expect 10 pool_is a registered
key_is a address "$(server a)" || fail "address: $(key a address)"
key_is a transports.0 tcp || fail "transports: $(key a transports.0)"
key_is a zone rack-7 || fail "zone: $(key a zone)"
key_is b zone "" || fail "b has a zone"
key_is a incarnation "$(value a incarnation)" || fail "incarnation"
key_is a state serving || fail "state"
key_is a memory_bytes $((64 << 20)) || fail "memory_bytes"
key_is a free_bytes $((64 << 20)) || fail "free_bytes"
key_is a slab_bytes $((1 << 20)) || fail "slab_bytes"
key_is a version "$("$memserver" --version | cut -d' ' -f2)" || fail "version"
expect_line "$dir/a.log" "pool blue: registered as $(server a), by etcd at localhost:${port[e]}"
"$ctl" status "$dir/a.ctl" >"$dir/said" || true
expect_line "$dir/said" "pool " "blue, registered as $(server a)" "etcd at localhost:${port[e]}"
"$ctl" events "$dir/a.ctl" >"$dir/said"
expect_line "$dir/said" "pool joined" blue

"$ctl" check "$dir/a.ctl" >"$dir/said" || true
! has "$dir/said" pool-away || fail "$(cat "$dir/said")"
expect_line "$dir/a.log" "figures at http"
metrics_tell a 1

say "what changes is refreshed, and not too often"
start_plugin p "$(server a)" "$(server b)" size=48M replicas=2 timeout=60 lanes=4
expect_req p ok write:0:16M:4
expect 30 key_is a sessions 1
used() { [ "$(key a free_bytes)" -lt $((64 << 20)) ]; }
expect 30 used
expect_req p ok trim:0:16M # shadow begins with zeros

say "its load: at rest, and under requests"
expect 60 load_is a -lt 50
start_shadow load p --connections=2
expect_more 10 p writes 1000
expect 60 load_is a -ge 50

say "a drain is told, and taken back"
"$ctl" drain --control="$dir/b.ctl" >/dev/null
expect 10 key_is b state draining
key_is b free_bytes 0 || fail "a draining server has room: $(key b free_bytes)"
"$ctl" drain --control="$dir/b.ctl" --undo >/dev/null
expect 10 key_is b state serving

say "etcd dies, and is restarted empty"
stop e KILL || true
expect 40 pool_is a away
expect_line "$dir/a.log" "pool blue: localhost:${port[e]}:" "trying again, and serving clients meanwhile"
value a pool.error >/dev/null
"$ctl" check "$dir/a.ctl" >"$dir/said" || true
expect_line "$dir/said" "clients do not find it in pool blue: localhost:${port[e]}:" "[pool-away]"
metrics_tell a 0
expect_more 10 p writes 1000
rm -rf "$dir/e.etcd"
start_etcds e
expect 60 keys_are 2
expect 10 pool_is a registered
metrics_tell a 1
expect_lines "$dir/a.log" "pool blue: registered as" 2
key_is a incarnation "$(value a incarnation)" || fail "incarnation"
expect_more 10 p writes 1000
finish_shadow load
# besides the first write after each start, and a drain
[ "$(value a pool.writes)" -le $(($(value a uptime_s) / 10 + 3)) ] ||
	fail "$(value a pool.writes) writes in $(value a uptime_s) seconds"
expect 60 load_is a -lt 50
stop p

say "somebody deletes the key"
etcd_do e del "/rswap/1/blue/servers/$(server a)" >/dev/null
expect 90 keys_are 2

say "killed and started again at once"
stop b KILL || true
old=$(key b incarnation)
[ "$old" ] || fail "the key went with the process"
serve b
expect 20 key_is b incarnation "$(value b incarnation)"
[ "$old" != "$(key b incarnation)" ] || fail "the same incarnation"
expect_line "$dir/b.log" "an earlier server was registered as $(server b)"

say "killed: the key goes with its lease, which is granted for less than 10 seconds"
lease=$(etcd_do e get "/rswap/1/blue/servers/$(server b)" -w json | sed 's/.*"lease":\([0-9]*\).*/\1/')
etcd_do e lease timetolive "$(printf %x "$lease")" | grep -q 'granted with TTL(9s)' ||
	fail "$(etcd_do e lease timetolive "$(printf %x "$lease")")"
stop b KILL || true
expect 40 keys_are 1
key_is a state serving || fail "the other key went"

say "its end: the key goes at once"
stop a
keys_are 0 || fail "the key is left"

say "two that live at one address"
for name in c d; do
	start_server $name --memory=64M --pool="$pool" --pool-address=store-7:10909
done
stored() { etcd_do e get /rswap/1/blue/servers/store-7:10909 | grep -q incarnation; }
expect 20 stored
two_know() {
	has "$dir/c.log" "another server registers as store-7:10909 too" ||
		has "$dir/d.log" "another server registers as store-7:10909 too"
}
expect 90 two_know
stop c
stop d
stop e || true

say "without etcd"
start_server n --memory=64M --pool=etcd://127.0.0.1:1/blue
expect_line "$dir/n.log" "pool blue: 127.0.0.1:1:" "trying again"
pool_is n away || fail "it is registered nowhere"
start_plugin q "$(server n)" size=16M timeout=60 lanes=4
expect_req q ok write:0:4M:4
stop q
stop n

say "users"
start_etcds auth
(umask 077 && echo swap:secret >"$dir/login" && echo swap:wrong >"$dir/wrong")
for words in "user add root:rootpw" "user grant-role root root" "user add swap:secret" \
	"role add rswap" "role grant-permission rswap --prefix=true readwrite /rswap/" \
	"user grant-role swap rswap" "auth enable"; do
	read -ra word <<<"$words"
	etcd_do auth "${word[@]}" >/dev/null
done
pool=etcd://127.0.0.1:${port[auth]}/blue
serve w --pool-login="$dir/wrong"
expect_line "$dir/w.log" "pool blue:" "invalid user ID or password; trying again"
serve r --pool-login="$dir/login"
expect 30 pool_is r registered
pool_is w away || fail "a wrong password registers"
stop w
stop r

say "a right to read alone: it asks less and less often, and has one lease meanwhile"
(umask 077 && echo look:secret >"$dir/look")
for words in "user add look:secret" "role add look" \
	"role grant-permission look --prefix=true read /rswap/" "user grant-role look look"; do
	read -ra word <<<"$words"
	etcd_do auth --user=root:rootpw "${word[@]}" >/dev/null
done
# refused: transactions that etcd has denied
refused() {
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new("127.0.0.1:$ARGV[0]") or die;
		print $s "GET /metrics HTTP/1.0\r\n\r\n";
		/^grpc_server_handled_total.*"PermissionDenied".*"Txn".* (\d+)$/ and $n = $1 while <$s>;
		print $n // 0, "\n"' "${port[auth]}"
}
leases() { etcd_do auth --user=root:rootpw lease list | tail -n +2; }
etcd_do auth --user=root:rootpw del --prefix /rswap/ >/dev/null
before=$(refused)
serve l --pool-login="$dir/look"
was_refused() { [ "$(refused)" -gt "$before" ]; }
expect 20 was_refused
lease=$(leases)
[ "$(wc -l <<<"$lease")" = 1 ] || fail "leases: $lease"
before=$(refused)
sleep 25
[ "$(leases)" = "$lease" ] || fail "another lease: $lease, now $(leases)"
asked=$(($(refused) - before))
[ "$asked" -ge 3 ] && [ "$asked" -le 12 ] || fail "refused $asked times in 25 seconds"
pool_is l away || fail "it is registered without a right to"
expect_lines "$dir/l.log" "permission denied" 1
etcd_do auth --user=root:rootpw user grant-role look rswap >/dev/null
expect 40 pool_is l registered
stop l
stop auth || true
