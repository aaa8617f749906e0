#!/bin/bash
# A device that follows its pool while it runs: servers join, drain, are lost and come
# back elsewhere; and etcd is gone meanwhile without any request that notices.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

ctl=$build/ctl/rswapctl

addresses() { # NAME: of the servers that it uses
	ask "$1" | sed -n 's/^servers\.[0-9]*\.address //p' | sort
}
uses() { # NAME SERVER...
	local name=$1 server
	shift
	[ "$(addresses "$name")" = "$(for server; do server "$server"; done | sort)" ]
}
# of PLUGIN's server SERVER
server_value() { # PLUGIN SERVER PATH
	ask "$1" | awk -v address="$(server "$2")" -v key="$3" '
		$1 ~ /^servers\.[0-9]+\.address$/ { split($1, part, "."); here = $2 == address }
		here && $1 == "servers." part[2] "." key { print $2 }'
}
server_is() { # PLUGIN SERVER PATH OPERATOR VALUE
	test "$(server_value "$1" "$2" "$3")" "$4" "$5"
}
memory() { # NAME OPTION...
	start_server "$1" --memory=48M --slab-size=1M --grace=5 --pool="$pool" "${@:2}"
}

metric() { # NAME{LABELS}
	curl -fsS "http://127.0.0.1:$http/metrics" | awk -v metric="$1" '$1 == metric { print $2 }'
}
pool_is() { # PATH VALUE
	[ "$(value p "pool.$1")" = "$2" ]
}
checks() { # WORD...: rswapctl check tells
	"$ctl" check "$dir/p.ctl" >"$dir/said" || true
	has_line "$dir/said" "$@"
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
memory a
expect 20 registered 1
read -r http < <(free_ports 1)
start_plugin p pool="$pool" metrics="$http" servers-max=3 size=40M replicas=1 timeout=60 lanes=4
uses p a || fail "it does not use a"

pool_is name blue && pool_is state current && pool_is servers_max 3 && pool_is used 1 ||
	fail "status: $(ask p | grep ^pool)"
[ "$(metric rswap_pool_away)" = 0 ] || fail "it is away"
! checks pool-away || fail "$(cat "$dir/said")"

say "a server joins while requests go on, and gets slabs"
start_shadow load p --connections=2 --size=40M
network e-of-b e
pool=etcd://$(server e-of-b)/blue memory b
expect 20 uses p a b
expect 20 server_is p b state = up
expect_line "$dir/p.log" "server $(server b) joins from pool blue: 2 in use, of 3 allowed"
[ "$(metric 'rswap_pool_servers{pool="blue",state="registered"}')" = 2 ] || fail "not 2 registered"
[ "$(metric 'rswap_pool_servers{pool="blue",state="used"}')" = 2 ] || fail "not 2 used"
"$ctl" status "$dir/p.ctl" >"$dir/said" || true
expect_line "$dir/said" "pool  " "blue, current for" "2 servers, 2 serving; 2 in use of 3 allowed; etcd at 127.0.0.1:${port[e]}"
"$ctl" events "$dir/p.ctl" >"$dir/said"
expect_line "$dir/said" "server joined" "$(server b)" "from pool blue"
"$ctl" drain --control="$dir/a.ctl" >/dev/null
expect 60 server_is p a slabs = 0
server_is p b slabs -gt 4 || fail "b has no slabs"
"$ctl" drain --control="$dir/a.ctl" --undo >/dev/null

say "a lease ends while its server lives: the data goes on, and the key comes back"
lease=$(etcd_do e get "/rswap/1/blue/servers/$(server a)" -w json | sed 's/.*"lease":\([0-9]*\).*/\1/')
etcd_do e lease revoke "$(printf %x "$lease")" >/dev/null
expect_more 10 p writes 1000
expect 30 registered 2
uses p a b || fail "a server was dropped"
server_is p a state = up || fail "a is $(server_value p a state)"

say "a server that is cut off from etcd alone: likewise"
kill -STOP "${pid[e-of-b]}"
expect 40 registered 1
expect 20 has_line "$dir/b.log" "pool blue:" "trying again, and serving clients meanwhile"
expect_more 10 p writes 1000
uses p a b || fail "a server was dropped"
server_is p b state = up || fail "b is $(server_value p b state)"
kill -CONT "${pid[e-of-b]}"
expect 40 registered 2
expect_more 10 p writes 1000
[ "$(value p errors)" = 0 ] || fail "requests failed"
uses p a b || fail "a server was dropped"

say "etcd hangs: no request notices"
kill -STOP "${pid[e]}"
expect_more 10 p writes 2000
kill -CONT "${pid[e]}"
[ "$(value p errors)" = 0 ] || fail "requests failed"

say "etcd is gone: no request notices, and the log says it once"
stop e KILL || true
expect 30 has_line "$dir/p.log" "pool blue: " "going on with the servers that are known"
pool_is state away || fail "it is not away"
value p pool.error >/dev/null
checks "new servers in pool blue are not found" "[pool-away]" || fail "$(cat "$dir/said")"
[ "$(metric rswap_pool_away)" = 1 ] || fail "it is not away"
expect_more 10 p writes 2000
expect_lines "$dir/p.log" "going on with the servers that are known" 1
[ "$(value p errors)" = 0 ] || fail "requests failed"
uses p a b || fail "servers went with etcd"

say "etcd is back, restarted empty: servers that have a session stay"
rm -rf "$dir/e.etcd"
start_etcds e
expect 40 has "$dir/p.log" "pool blue: etcd at 127.0.0.1:${port[e]} tells of its servers again"
expect 10 pool_is state current
"$ctl" events "$dir/p.ctl" >"$dir/said"
expect_line "$dir/said" "pool away" blue
expect_line "$dir/said" "pool back" blue
uses p a b || fail "a server was dropped"
expect 60 registered 2
expect_more 10 p writes 1000
uses p a b || fail "a server was dropped"
finish_shadow load

say "no more than are allowed; a place becomes free when a server is lost"
memory c
memory d
expect 20 registered 4
three() { [ "$(addresses p | wc -l)" = 3 ]; }
expect 20 three
[ "$(addresses p | grep -cx -e "$(server c)" -e "$(server d)")" = 1 ] || fail "not one of c and d"
used=c other=d
addresses p | grep -qx "$(server c)" || used=d other=c
expect_req p ok trim:0:40M
stop "$used" KILL || true
expect 60 uses p a b "$other"
expect_line "$dir/p.log" "server $(server "$used") is not in use any more: it is not in the pool"
expect 20 server_is p "$other" state = up
expect_req p ok write:0:32M:4

say "a server comes back at another address"
server_is p "$other" write_bytes -gt 0 || fail "nothing was written there"
expect_req p ok trim:0:40M
stop "$other" KILL || true
unset "port[$other]"
memory "$other"
expect 60 uses p a b "$other"
expect 20 server_is p "$other" state = up
server_is p "$other" write_bytes = 0 || fail "the new server has the figures of the old one"
expect_req p ok write:0:32M:4

say "a server that holds nothing and grants nothing makes room where one waits"
memory g
"$ctl" drain --control="$dir/b.ctl" >/dev/null
expect 120 uses p a "$other" g
expect_line "$dir/p.log" "server $(server b) is not in use any more: another one takes its place"
expect 20 server_is p g state = up
expect_req p ok check:0:32M:4
stop g # its pages move first
expect 60 uses p a "$other"

say "one server by two keys is used once"
key=/rswap/1/blue/servers/localhost:${port[a]}
twin=$(etcd_do e get "/rswap/1/blue/servers/$(server a)" --print-value-only |
	sed "s/$(server a)/localhost:${port[a]}/")
stop b
etcd_do e put "$key" "$twin" >/dev/null
same() { grep -q "localhost:${port[a]}: it is the same memory server as $(server a)" "$dir/p.log"; }
expect 30 same
etcd_do e del "$key" >/dev/null
expect 60 uses p a "$other"
expect_req p ok write:0:32M:4
[ "$(value p errors)" = 0 ] || fail "requests failed"
stop p
stop "$other"
expect 20 registered 1

say "a server that this machine alone cannot reach gives way, and stays away while there are others"
start_server n --memory=48M --slab-size=1M # for its port
stop n
network cut n
memory n --zone=far --pool-address="$(server cut)"
expect 20 registered 2
start_plugin q pool="$pool" servers-max=2 size=8M timeout=60 lanes=4
expect 40 server_is q cut state = up
memory h
stop cut KILL || true
expect 30 server_is q cut state = down
expect 90 uses q a h
never_back() {
	[ "$(lines_with "$dir/q.log" "joins from pool blue")" = 1 ] && uses q a h
}
sleep 5
never_back || fail "they take turns: $(grep joins "$dir/q.log")"
say "it is taken where there is no other one"
stop h
network cut n
expect 60 server_is q cut state = up
stop q
stop n
stop cut || true
stop e-of-b || true
stop a
stop e || true
