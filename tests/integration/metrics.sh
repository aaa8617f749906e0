#!/bin/bash
# The metrics of a memory server and of a plugin: by Prometheus' conventions, the
# same as on the control socket, and in nobody's way, whatever HTTP clients do.
. "$(dirname "$0")/functions.sh"
. "$here/metrics-functions.bash"

key=$(printf '%064d' 7)
(umask 077 && echo "alpha:$key" >"$dir/keys")
echo "alpha memory=48M guaranteed=8M" >"$dir/tenants"

start_server a --memory=64M --slab-size=1M --psk-file="$dir/keys" \
	--tenants="$dir/tenants" --metrics=0
start_server b --memory=64M --slab-size=1M --psk-file="$dir/keys" --metrics=127.0.0.1:0
start_plugin p "$(server a)" "$(server b)" size=24M lanes=4 replicas=2 \
	psk-file="$dir/keys" metrics=[::1]:0 metrics=0
for name in a b p; do
	expect_line "$dir/$name.log" "figures at http"
done

say "before any request"
for name in a b p; do
	scrape "$name"
	promtool check metrics <"$dir/$name.prom" >"$dir/said" 2>&1 || fail "$(cat "$dir/said")"
	[ ! -s "$dir/said" ] || fail "$name: $(cat "$dir/said")"
	! awk '{ print $1 }' "$dir/$name.prom" | grep -v '^#' | grep -v '^rswap_' ||
		fail "$name: that is no name of rswap's"
	[ "$(cut -d' ' -f1 "$dir/$name.prom" | grep -v '^#' | sort | uniq -d)" = "" ] ||
		fail "$name: twice"
	curl -fsSI "$(url "$name")" >"$dir/said"
	expect_line "$dir/said" "Content-Type: text/plain; version=0.0.4"
done
# What docs/monitoring.md says: "name type" under each of its headings.
for name in p a; do
	heading=$([ $name = p ] && echo "of a plugin" || echo "of a memory server")
	awk -v heading="## Metrics $heading" -F '[ |`]+' '
		/^## / { inside = $0 == heading }
		inside && /^\| `/ { print $2, $3 }' "$src/docs/monitoring.md" | sort >"$dir/documented"
	awk '$1 == "#" && $2 == "TYPE" { print $3, $4 }' "$dir/$name.prom" | sort >"$dir/told"
	diff "$dir/documented" "$dir/told" >"$dir/said" ||
		fail "docs/monitoring.md (<) and what it tells (>) differ: $(cat "$dir/said")"
done
[ "$(metric p 'rswap_requests_total{op="write"}')" = 0 ] || fail "writes"
[ "$(metric p 'rswap_pages{state="absent"}')" = 6144 ] || fail "absent pages"
[ "$(metric p "rswap_server_state{server=\"$(server a)\",state=\"up\"}")" = 1 ] ||
	fail "a is not up"

say "they move, and are those of the control socket"
expect_req p ok write:0:8M:4
req p scan:0:5M >/dev/null
expect_req p ok trim:4M:1M
for i in 0 1; do
	expect 10 is p servers.$i.slabs -eq 8
done
expect 10 is a slabs_used -eq 8
scrape a
scrape p
same p 'rswap_requests_total{op="read"}' reads
same p 'rswap_requests_total{op="write"}' writes
same p 'rswap_requests_total{op="trim"}' trims
same p 'rswap_request_bytes_total{op="write"}' write_bytes
same p 'rswap_request_bytes_total{op="read"}' read_bytes
same p 'rswap_request_errors_total{op="read"}' read_errors
same p 'rswap_pages{state="present"}' pages_present
same p 'rswap_slabs{state="live"}' slabs_live
same p 'rswap_repair_copied_pages_total' pages_copied
same p 'rswap_hedged_reads_total' hedges
same p 'rswap_present_bytes' present_bytes
for i in 0 1; do
	at=$(value p servers.$i.address)
	same p "rswap_server_slabs{server=\"$at\"}" servers.$i.slabs
	for op in read write; do
		of="{server=\"$at\",op=\"$op\"}"
		same p "rswap_server_transfer_bytes_total$of" servers.$i.${op}_bytes
		same p "rswap_server_transfer_duration_seconds_count$of" servers.$i.${op}s
	done
done
[ "$(metric p rswap_scrubs_total)" = 0 ] || fail "a scrub"
"$build/ctl/rswapctl" scrub "$dir/p.ctl" --wait >"$dir/said" || fail "$(cat "$dir/said")"
scrape p
[ "$(metric p rswap_scrubs_total)" = 1 ] || fail "no scrub"
[ "$(metric p 'rswap_scrub_pages{state="all"}')" = $((7 << 8)) ] || fail "pages to scrub"
for at in done wrong lost unread; do
	same p "rswap_scrub_pages{state=\"$at\"}" scrub.${at}_pages
done
[ "$(metric p 'rswap_scrub_pages{state="done"}')" = $((7 << 8)) ] || fail "scrubbed pages"
[ "$(metric p 'rswap_request_bytes_total{op="write"}')" = $((8 << 20)) ] ||
	fail "bytes written: $(metric p 'rswap_request_bytes_total{op="write"}')"
same a 'rswap_memserver_requests_total{op="write"}' writes
same a 'rswap_memserver_request_bytes_total{op="write"}' write_bytes
same a 'rswap_memserver_slabs{state="used"}' slabs_used
same a 'rswap_memserver_free_bytes' free_bytes
same a 'rswap_memserver_tenant_used_bytes{tenant="alpha"}' tenants.0.used_bytes
same a 'rswap_memserver_tenant_limit_bytes{tenant="alpha"}' tenants.0.memory_bytes
[ "$(metric a 'rswap_memserver_sessions{state="connected"}')" = 1 ] || fail "sessions"
grep -q '^rswap_memserver_session_slabs{session="[0-9]*",client="[^"]*",tenant="alpha"} [1-9]' \
	"$dir/a.prom" || fail "no session"
# Where a tenant has no limit there is no metric of it.
scrape b
! grep -q '^rswap_memserver_tenant_limit_bytes{' "$dir/b.prom" || fail "a limit"

say "a histogram grows from bucket to bucket up to its count"
awk '/_bucket/ {
		series = $1; sub(/,?le="[^"]*"/, "", series)
		if (series == last && $2 < below) { print "falls: " $0; exit 1 }
		last = series; below = $2; n++
	}
	/duration_seconds_count/ && $2 != below { print "not the count: " $0; exit 1 }
	/duration_seconds_count\{op="write"/ && $2 == 0 { print "no writes"; exit 1 }
	END { exit n < 100 }' "$dir/p.prom" || fail "histograms"

say "what is wrong is refused in one line"
for wrong in 1.2.3.4 :80 host: 65536 127.0.0.1:x [::1] [::1 '' 1:2:3; do
	server_refuses "--metrics=$wrong HOST:PORT" --memory=64M --metrics="$wrong"
	plugin_refuses "metrics=$wrong HOST:PORT" 127.0.0.1 size=16M metrics="$wrong"
done
taken=$(url a | grep -o '[0-9]*/' | tail -n 1)
server_refuses "--metrics=127.0.0.1:${taken%/} in use" --memory=64M --listen=127.0.0.1:0 \
	--metrics="${taken%/}"
plugin_refuses "metrics=127.0.0.1:${taken%/} in use" "$(server a)" size=16M \
	psk-file="$dir/keys" metrics="${taken%/}"
server_refuses "--metrics=nowhere.invalid:80 look up" --memory=64M --listen=127.0.0.1:0 \
	--metrics=nowhere.invalid:80

say "the thread has no privileges, and is not in the way of those that serve"
for name in a p; do
	thread=$(grep -lx rswap-http "/proc/${pid[$name]}"/task/*/comm)
	thread=${thread%/comm}
	expect_line "$thread/status" CapEff: 0000000000000000
	expect_line "$thread/status" NoNewPrivs: 1
	# proc(5): the policy, SCHED_OTHER; the name has no blank
	[ "$(awk '{ print $41 }' "$thread/stat")" = 0 ] || fail "$name: real time"
done

crowd() { # NAME
	local at
	at=$(url "$1")
	at=${at#http://127.0.0.1:}
	perl "$here/http-crowd.pl" "${at%%/*}" /metrics >"$dir/crowd.log" 2>&1 ||
		fail "$1: http-crowd.pl: $(tail -n 3 "$dir/crowd.log")"
}

locked_kib() {
	awk '$1 == "VmLck:" { print $2 }' "/proc/${pid[p]}/status"
}

say "a crowd of strange clients does not make the plugin's memory grow"
scrape p
before=$(locked_kib)
crowd p
[ "$(locked_kib)" = "$before" ] || fail "locked: $before kB before, $(locked_kib) kB now"

say "nor disturbs it requests"
expect_req p ok trim:0:24M
start_shadow load p --connections=2
expect_more 10 p writes 100
crowd p
crowd a
finish_shadow load
expect_value p errors -eq 0
expect_value p servers.0.reconnects -eq 0
scrape a
scrape p

say "connected clients do not delay the end"
at=$(url p)
exec 9<>"/dev/tcp/127.0.0.1/$(grep -o '[0-9]*/' <<<"$at" | tail -n 1 | tr -d /)"
stop p || fail "the plugin's end"
exec 9>&-
