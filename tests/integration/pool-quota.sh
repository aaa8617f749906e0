#!/bin/bash
# Memory servers hold back no more for an identity than its quota in the pool, whoever has
# written its reservation into a real etcd, and go by the quotas that they know while etcd
# is away.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

ctl=$build/ctl/rswapctl
make_keys alpha beta

memory() { # NAME MIB
	start_server "$1" --memory="$2M" --slab-size=1M --grace=5 --psk-file="$dir/keys" --pool="$pool"
}
device() { # NAME IDENTITY KEY=VALUE...
	start_plugin "$1" pool="$pool" psk-file="$dir/$2.key" encrypt=off checksum=off timeout=60 lanes=4 "${@:3}"
}
# What the server holds back for alpha.
holds_back() { # SERVER MIB
	[ "$(ask "$1" | awk '
		$1 ~ /^tenants\.[0-9]+\.name$/ { split($1, part, "."); here = $2 == "alpha" }
		here && $1 == "tenants." part[2] ".reserved_bytes" { n = $2 }
		END { print n + 0 }')" = $(($2 << 20)) ]
}
# Whoever may write below reserved/ may write that.
reserve_by_hand() { # SERVER MIB
	etcd_do e put "/rswap/1/blue/reserved/$(server "$1")/0123456789abcdef0123456789abcdef" \
		"{\"identity\":\"alpha\",\"bytes\":$(($2 << 20))}" >/dev/null
}
quota() { # MIB|none
	"$ctl" pool reserve "$pool" --tenant=alpha --quota="$1" >/dev/null
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
memory a 32
expect 20 registered 1
quota 8M

say "a reservation above the quota gives no more than the quota"
reserve_by_hand a 30
expect 10 holds_back a 8
expect_line "$dir/a.log" "pool blue: identity alpha has reserved 30M on this server, which is beyond its quota: 8M are held back"
device q beta size=24M
expect_req q ok write:0:24M:4
stop q

say "a quota that is changed holds at once"
quota 12M
expect 10 holds_back a 12
quota none
expect 10 holds_back a 30
quota 0
expect 10 holds_back a 0
quota 8M
expect 10 holds_back a 8

say "one that is not understood leaves what is known"
etcd_do e put /rswap/1/blue/tenants/alpha 'what?' >/dev/null
expect_line "$dir/a.log" "pool blue: a quota is skipped: /rswap/1/blue/tenants/alpha: its whole value is not that of a quota"
holds_back a 8 || fail "$(ask a | grep tenants)"
quota 8M

say "each server by itself: one does not know what is reserved on others"
memory b 32
expect 20 registered 2
reserve_by_hand b 30
expect 10 holds_back b 8
expect 10 holds_back a 8

say "etcd is away: the quotas that are known hold"
stop e KILL || true
expect 40 has_line "$dir/a.log" "pool blue" "trying again, and serving clients meanwhile"
holds_back a 8 || fail "$(ask a | grep tenants)"
start_etcds e
expect 60 registered 2
quota 6M
expect 40 holds_back a 6
expect 40 holds_back b 6
stop a
stop b
stop e || true
