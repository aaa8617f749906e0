#!/bin/bash
# rswapctl ping: reads of a page over a real lane, figures in the end, and nothing is
# left; where there is no page, one line says why.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/trial-functions.bash"

start_server s --memory=64M --slab-size=1M

# ping STATUS WORD...
ping() {
	leaves_nothing ping "$@"
}

say "a page, five times"
ping 0 "$(server s)" --count=5 --interval=0 --transport=tcp
expect_line "$dir/said" "PING $(server s) (tcp): pages of 4096 bytes"
for n in 1 2 3 4 5; do
	expect_line "$dir/said" "4096 bytes from $(server s): seq=$n time="
done
expect_line "$dir/said" "5 pages asked for, 5 received, 0 % lost"
expect_line "$dir/said" "min/p50/p99/max = "
expect_line "$dir/said" "over the lane alone, the last 5: p50/p99 = "
# they came from the server, which has all of its memory again
expect 10 is s slabs_used -eq 0
expect_value s reads -eq 5

say "the figures only, and as JSON"
ping 0 "$(server s)" --count=3 --interval=0 --quiet
! has "$dir/said" "seq=" || fail "it is not quiet"
expect_line "$dir/said" "3 pages asked for, 3 received"
ping 0 "$(server s)" --count=50 --interval=0 --json
perl "$src/tests/flatten.pl" <"$dir/said" >"$dir/flat"
for line in "server $(server s)" "transport tcp" "asked 50" "received 50" "lane.count 50"; do
	grep -qxF "$line" "$dir/flat" || fail "no $line in $(cat "$dir/flat")"
done
awk '{ v[$1] = $2 }
	END { exit !(0 < v["min_us"] && v["min_us"] <= v["p50_us"] &&
		v["p50_us"] <= v["p99_us"] && v["p99_us"] <= v["max_us"]) }' \
	"$dir/flat" || fail "the figures are in no order: $(cat "$dir/flat")"

say "Ctrl-C ends it, with the figures"
rm -f "$dir/said"
"$ctl" ping "$(server s)" --count=1000 --interval=50 >"$dir/said" 2>&1 &
pid[ping]=$!
expect 20 has_line "$dir/said" "seq=3 "
kill -INT "${pid[ping]}"
wait "${pid[ping]}" || fail "ping: exit status $?"
unset "pid[ping]"
expect_line "$dir/said" "received, 0 % lost"
[ -z "$(ls "$TMPDIR")" ] || fail "it left $(ls "$TMPDIR")"

say "the server hangs, and comes back"
rm -f "$dir/said"
"$ctl" ping "$(server s)" --count=3 --interval=4000 >"$dir/said" 2>&1 &
pid[ping]=$!
expect 20 has_line "$dir/said" "seq=1 "
kill -STOP "${pid[s]}"
wait_for 40 has "$dir/said" "no page from $(server s): seq=2: " ||
	fail "$(cat "$dir/said")"
kill -CONT "${pid[s]}"
status=0
wait "${pid[ping]}" || status=$?
unset "pid[ping]"
[ "$status" = 1 ] || fail "a page did not come, and the exit status is $status"
expect_line "$dir/said" "3 pages asked for, 2 received, 33 % lost"

say "with a key"
"$ctl" genkey node-7 >"$dir/keys"
chmod 600 "$dir/keys"
start_server k --memory=64M --slab-size=1M --psk-file="$dir/keys"
ping 0 "$(server k)" --count=1 --psk-file="$dir/keys" --identity=node-7
expect_line "$dir/said" "1 received"
ping 1 "$(server k)" --count=1
expect_one_line "$dir/err" "rswapctl ping: $(server k): " psk-file
chmod 644 "$dir/keys"
ping 1 "$(server k)" --count=1 --psk-file="$dir/keys"
expect_one_line "$dir/err" "$dir/keys" 0600

say "nobody is there"
stop k
ping 1 "$(server k)" --count=1
expect_one_line "$dir/err" "rswapctl ping: $(server k): " "Connection refused"
ping 1 no.such.host.invalid --count=1
expect_one_line "$dir/err" "rswapctl ping: no.such.host.invalid: "

say "what is not allowed"
for wrong in "SERVER" "$(server s) $(server s) HOST[:PORT]" "size=1M SERVER" \
	"host:0 65535" "$(server s) --count=0 1000000" "$(server s) --transport=udp rdma"; do
	read -ra words <<<"$wrong"
	last=$((${#words[@]} - 1))
	ping 1 "${words[@]:0:last}"
	expect_one_line "$dir/err" "${words[last]}"
done
