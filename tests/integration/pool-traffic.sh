#!/bin/bash
# What rswap writes to etcd, counted by etcd itself: each write of any key makes its
# revision one larger.  A server writes its key at most once in 10 seconds, and slabs
# that are taken and given back write nothing.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

revision() {
	etcd_do e get /none -w json | sed 's/.*"revision":\([0-9]*\).*/\1/'
}
no_slabs() {
	is a slabs_used -eq 0 && is b slabs_used -eq 0
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
for name in a b; do
	start_server $name --memory=48M --slab-size=1M --pool="$pool"
done
expect 20 registered 2
start_plugin p pool="$pool" size=40M replicas=2 pool-reserve=all encrypt=off checksum=off \
	timeout=60 lanes=4

say "slabs are taken and given back, for half a minute"
since_s=$SECONDS before=$(revision) slabs=0
while [ $((SECONDS - since_s)) -lt 30 ]; do
	expect_req p ok write:0:40M:7
	slabs=$((slabs + $(value a slabs_used) + $(value b slabs_used)))
	expect_req p ok trim:0:40M
	expect 60 no_slabs
done
writes=$(($(revision) - before))
# One more of each, as the first one may come at once.
most=$((2 * ((SECONDS - since_s) / 10 + 1)))
say "$slabs slabs in $((SECONDS - since_s)) seconds, $writes writes, of $most allowed"
[ "$writes" -le "$most" ] ||
	fail "$writes writes, and not $most at most: $(etcd_do e get --prefix / -w json)"
[ "$slabs" -gt $((4 * most)) ] || fail "only $slabs slabs: that tells nothing"
[ "$writes" -gt 0 ] || fail "not one write, though slabs come and go"

say "nor does a joining server have others write"
before=$(revision) since_s=$SECONDS
start_server c --memory=48M --slab-size=1M --pool="$pool"
expect 20 registered 3
used() { is p pool.used -eq 3; }
expect 20 used
writes=$(($(revision) - before))
# Its own key, and its next words as the device begins a session there.
most=$((1 + 3 * ((SECONDS - since_s) / 10 + 1)))
[ "$writes" -le "$most" ] || fail "$writes writes, and not $most at most"
[ "$(value p errors)" = 0 ] || fail "requests failed"
stop p
stop a
stop b
stop c
stop e || true
