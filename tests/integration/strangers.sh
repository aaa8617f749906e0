#!/bin/bash
# 10,000 connections that say nothing, and 1,000 TLS handshakes at once, from the
# address of a client and from many others.  The client reads and writes
# meanwhile, and resumes its session when its connections break.  The server stays
# within its limits of memory, descriptors and log lines.
. "$(dirname "$0")/functions.sh"

silent=10000
handshakes=1000
addresses=1000
# Connections without a session at a time: 256 of strangers, and 64 of the
# client's own address (memserver/session/admission.h).  What each may take: 68 KiB
# of buffers, and GnuTLS' state.
newcomers=320
newcomer_kib=160
# Connections that are about to be closed, and what else a server opens.
other_files=64
# Lines in a second: of one address, and of all (memserver/output/peerlimit.h).
lines_one=10
lines_all=1290

hard=$(ulimit -Hn)
[ "$hard" = unlimited ] || [ "$hard" -ge $((silent + 100)) ] ||
	skip "needs: ulimit -Hn of $((silent + 100))"

umask 077
"$build/ctl/rswapctl" genkey alpha >"$dir/keys"
start_server s --memory=32M --slab-size=1M --psk-file="$dir/keys"
network net s
start_plugin p "$(server net)" size=16M lanes=4 psk-file="$dir/keys"
expect_req p ok write:8M:8M:7

kib() { # KEY: of the server's memory
	awk -v key="$1:" '$1 == key { print $2 }' "/proc/${pid[s]}/status"
}

files() {
	find "/proc/${pid[s]}/fd" -mindepth 1 | wc -l
}

data_before=$(kib VmData)
rss_before=$(kib VmRSS)
files_before=$(files)
data_most=0 rss_most=0 files_most=0

most() { # VARIABLE VALUE
	[ "${!1}" -ge "$2" ] || printf -v "$1" %s "$2"
}

check_limits() {
	[ "$files_most" -le $((newcomers + other_files)) ] ||
		fail "the server opened $files_most more files"
	# of what a sanitizer takes nothing is said
	[ -z "$sanitizer" ] || return 0
	[ "$data_most" -le $((newcomers * newcomer_kib)) ] ||
		fail "the server's memory grew by $data_most KiB"
	# what of its slabs was not used before is in there too
	[ "$rss_most" -le $((newcomers * newcomer_kib + 32 * 1024)) ] ||
		fail "the server's resident memory grew by $rss_most KiB"
}

look() {
	most data_most $(($(kib VmData) - data_before))
	most rss_most $(($(kib VmRSS) - rss_before))
	most files_most $(($(files) - files_before))
	check_limits
}

has_met() { # STRANGERS: so many connections without a session have ended
	look
	is s connections_refused -ge "$1"
}

resumed() { # RECOVERIES
	look
	is p servers.0.recoveries -ge "$1"
}

# meet NAME COUNT ADDRESSES MINIMUM [KEY]: strangers come again and again.  MINIMUM
# of them have been sent away when the client's network breaks.
meet() {
	local name=$1 minimum=$4 refused recoveries lines began=$SECONDS
	local lines_s=$lines_one
	[ "$3" = 1 ] || lines_s=$lines_all
	refused=$(value s connections_refused)
	recoveries=$(value p servers.0.recoveries)
	lines=$(wc -l <"$dir/s.log")
	expect_req p ok trim:0:8M
	start_shadow "load-$name" p --size=8M --connections=2
	"$programs/strangers" "${port[s]}" "$2" "$3" 1 "${@:5}" \
		>"$dir/$name.log" 2>&1 &
	pid[$name]=$!
	expect 30 has_met $((refused + minimum))
	stop net KILL || true
	network net s
	expect 60 resumed $((recoveries + 1))
	expect_more 20 p writes 500
	look
	alive "$name" || fail "$name has ended: $(cat "$dir/$name.log")"
	stop "$name" || fail "$name: exit status $?"
	lines=$(($(wc -l <"$dir/s.log") - lines))
	if [ "${5:-}" ]; then
		! has "$dir/$name.log" " proved 0 " ||
			fail "$name: none proved its key"
	fi
	say "$name: $(cat "$dir/$name.log"), $lines lines, memory" \
		"+$data_most KiB (resident +$rss_most), files +$files_most"
	# and a few lines of the server itself
	[ "$lines" -le $((20 + lines_s * (SECONDS - began + 2))) ] ||
		fail "$name: $lines lines in $((SECONDS - began)) seconds"
	finish_shadow "load-$name"
}

key=$(cat "$dir/keys")
meet silent-one $silent 1 $((silent / 2))
meet silent-many $silent $addresses $((silent / 2))
meet handshakes-one $handshakes 1 $handshakes "$key"
meet handshakes-many $handshakes $addresses $handshakes "$key"

expect_req p "stamp 7" read:8M:8M
expect_value p errors -eq 0
expect_value p pages_lost_ever -eq 0
expect_value p servers.0.reconnects -eq 0
expect_value s sessions -eq 1
stop p || fail "exit status $?"
stop net KILL || true
