#!/bin/bash
# The page of a plugin and of a memory server, in a browser: it shows what happens,
# and what is wrong, on a desk and on a phone, and needs nothing from elsewhere.
#
# With RSWAP_SHOTS=FOLDER the screenshots are kept there.
. "$(dirname "$0")/functions.sh"

key=$(printf '%064d' 7)
(umask 077 && echo "<b>alpha</b>:$key" >"$dir/keys")
echo "<b>alpha</b> memory=48M guaranteed=8M" >"$dir/tenants"

url() { # NAME
	expect_line "$dir/$1.log" "figures at http"
	grep -o 'http://127\.0\.0\.1:[0-9]*/' "$dir/$1.log" | tail -n 1
}

start_server a --memory=64M --slab-size=1M --psk-file="$dir/keys" \
	--tenants="$dir/tenants" --metrics=0
start_server b --memory=64M --slab-size=1M --psk-file="$dir/keys"
start_plugin p "$(server a)" "$(server b)" size=24M replicas=2 psk-file="$dir/keys" \
	metrics=0
start_shadow load p --connections=2
expect_more 10 p writes 100

mkfifo "$dir/tell"
PYTHONDONTWRITEBYTECODE=1 timeout $((500 * slow)) \
	python3 "$here/page.py" "$(url p)" "$(url a)" "${pid[b]}" $((120 * slow)) \
	${RSWAP_SHOTS:+"$RSWAP_SHOTS"} <"$dir/tell" >"$dir/page.log" 2>&1 &
pid[page]=$!
exec 9>"$dir/tell"
seen_or_ended() { has "$dir/page.log" "$1" || gone "${pid[page]}"; }
expect 450 seen_or_ended ready
has "$dir/page.log" ready || fail "page.py: $(tail -n 5 "$dir/page.log")"
unset "pid[b]"
finish_shadow load
say "the plugin ends"
stop p || fail "the plugin's end"
echo go >&9
expect 200 seen_or_ended seen
wait "${pid[page]}" || fail "page.py: $(tail -n 5 "$dir/page.log")"
unset "pid[page]"
