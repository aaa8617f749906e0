#!/bin/bash
# Tenants: two clients with keys on one server, on one thread.  Each gets what the
# file of tenants says, one that takes all leaves the other its guarantee, and
# both read what they wrote.
. "$(dirname "$0")/functions.sh"
ctl=$build/ctl/rswapctl
export RSWAP_RUN_DIR=$dir/run

umask 077
for name in alpha beta gamma; do
	"$ctl" genkey $name >"$dir/$name"
done
cat "$dir/alpha" "$dir/beta" "$dir/gamma" >"$dir/keys"
keys=--psk-file=$dir/keys

# --- the file ---

tenants=--tenants=$dir/tenants
server_refuses "$tenants allowed only --psk-file=FILE" --memory=64M "$tenants"
server_refuses "$tenants No such file" --memory=64M "$keys" "$tenants"
printf 'alpha memory=1G\nbeta memory=1X\n' >"$dir/tenants"
server_refuses "$tenants line 2: memory=1X: allowed: a size, such as 64G" \
	--memory=64M "$keys" "$tenants"
printf 'alpha guaranteed=40M\nbeta guaranteed=40M\n' >"$dir/tenants"
server_refuses "$tenants adds up to 80M at most --memory=64M" \
	--memory=64M "$keys" "$tenants"

# --- what each gets ---

cat >"$dir/tenants" <<END
# who may have what
alpha memory=24M guaranteed=16M sessions=1 weight=3
beta  lanes=3
END
start_server s --memory=64M --slab-size=1M --threads=1 --grace=1 "$keys" "$tenants"

start_plugin b "$(server s)" size=47M lanes=4 psk-file="$dir/beta"
expect_value b servers.0.free_bytes -eq $((48 << 20))
plugin_refuses "identity gamma is not in the file of --tenants" "$(server s)" \
	size=4M psk-file="$dir/gamma"
expect_line "$dir/s.log" "identity gamma is not in the file of --tenants"
plugin_refuses "24M" "$(server s)" size=25M psk-file="$dir/alpha"
plugin_fails "$(server s)" size=1M lanes=2 psk-file="$dir/beta"
expect_line "$dir/err" "tenant beta has 2 lanes and wants 2 (lanes=3)"

say "beta takes all it can get: sealed, its pages need 1 MiB more"
expect_req b ok write:0:47M:1
start_plugin a "$(server s)" size=15M lanes=4 psk-file="$dir/alpha"
plugin_fails "$(server s)" size=1M psk-file="$dir/alpha"
expect_line "$dir/err" "tenant alpha has 1 sessions (sessions=1)"
expect_value a servers.0.free_bytes -eq $((16 << 20))
expect 10 is b servers.0.free_bytes -eq 0
expect_req a ok write:0:15M:2
expect_req b ok check:0:47M:1
expect_req a ok check:0:15M:2
expect 10 is a servers.0.free_bytes -eq 0

"$ctl" status "$dir/s.ctl" >"$dir/said" || fail "status: $(cat "$dir/said")"
expect_line "$dir/said" TENANT USED "AT MOST" GUARANTEED WEIGHT
expect_line "$dir/said" alpha "16 MiB" "24 MiB" "1 of 1" "2"
expect_line "$dir/said" beta "48 MiB" none "2 of 3"

say "both at once"
expect_req a ok zero:0:15M
expect_req b ok zero:0:47M
expect 20 is s slabs_used -eq 0
start_shadow load a --size=15M --connections=2
start_shadow more b --size=47M --connections=2
expect_more 20 a writes 300
expect_more 20 b writes 300
finish_shadow load
finish_shadow more
expect_value a errors -eq 0
expect_value b errors -eq 0

say "limits change"
before=$(value s tenants.0.used_bytes)
[ "$before" -gt $((4 << 20)) ] || fail "alpha uses only $before bytes"
cat >"$dir/tenants" <<END
alpha memory=4M
beta
gamma memory=4M
END
kill -HUP "${pid[s]}"
expect_line "$dir/s.log" "SIGHUP: $dir/tenants has limits for 3 identities"
expect_value s tenants.0.memory_bytes -eq $((4 << 20))
expect_value s tenants.0.used_bytes -eq "$before"
expect 10 is a servers.0.free_bytes -eq 0
expect_req b ok zero:0:47M
expect 20 is s tenants.1.used_bytes -eq 0
start_plugin g "$(server s)" size=2M lanes=2 psk-file="$dir/gamma"
expect_req g ok write:0:2M:3
expect_req g ok check:0:2M:3
echo "alpha memory=9X" >"$dir/tenants"
kill -HUP "${pid[s]}"
expect_line "$dir/s.log" "SIGHUP: --tenants=$dir/tenants: line 1: memory=9X:" \
	"the limits stay as they were"
expect_value s tenants.0.memory_bytes -eq $((4 << 20))
expect_req g ok check:0:2M:3

stop g || fail "exit status $?"
stop a || fail "exit status $?"
stop b || fail "exit status $?"
expect 10 is s sessions -eq 0
expect_value s tenants.0.used_bytes -eq 0
