#!/bin/bash
# nbdkit is asked to end while a client is attached: its pages are in there, so it
# serves on until the client goes, or until it is asked again.
. "$(dirname "$0")/functions.sh"

start_server s --memory=128M

declare -A to from

# A client that stays: requests go in by a pipe, results come out by another.
attach() { # CLIENT NAME
	mkfifo "$dir/$1.in" "$dir/$1.out"
	(
		# a pipe that others hold open has no end
		for fd in "${to[@]}" "${from[@]}"; do
			exec {fd}>&-
		done
		exec "$programs/req" "$(uri "$2")" -
	) <"$dir/$1.in" >"$dir/$1.out" 2>"$dir/$1.log" &
	pid[$1]=$!
	exec {in}>"$dir/$1.in" {out}<"$dir/$1.out"
	to[$1]=$in from[$1]=$out
	expect_of "$1" ok write:0:1M:7
}

expect_of() { # CLIENT "RESULT" REQUEST
	local line
	echo "$3" >&"${to[$1]}"
	read -r -t $((20 * slow)) line <&"${from[$1]}" ||
		fail "no answer to $3 of $1"
	[ "$line" = "$2" ] || fail "$3 of $1: \"$line\", expected \"$2\""
}

# Its exit status.
leave() { # CLIENT
	local in=${to[$1]} out=${from[$1]} status=0
	exec {in}>&-
	wait "${pid[$1]}" || status=$?
	unset "pid[$1]"
	exec {out}<&-
	unset "to[$1]" "from[$1]"
	rm "$dir/$1.in" "$dir/$1.out"
	return "$status"
}

expect_end() { # NAME
	local status=0 process=${pid[$1]}
	unset "pid[$1]"
	expect 15 gone "$process"
	wait "$process" || status=$?
	[ "$status" = 0 ] || fail "$1: exit status $status"
}

waits="asked to end while"

say "one client: it is served until it leaves"
start_plugin p "$(server s)" size=64M
attach a p
expect_value p connections -eq 1
! ask p | grep asked_to_end || fail "asked to end, and nobody did"
kill -TERM "${pid[p]}"
expect 10 has "$dir/p.log" "$waits 1 connection is open"
expect_line "$dir/p.log" "$waits" swapoff "rswapctl detach" "SIGTERM again"
expect_of a "stamp 7" read:0:1M
expect_of a ok write:0:1M:8
expect_of a ok write:32M:1M:9
expect_of a "stamp 8" read:0:1M
expect_of a "stamp 9" read:32M:1M
is p pages_present -eq 512 || fail "no status while it ends"
expect_value p asked_to_end_ms -ge 0

say "nobody else is let in"
req p read:0:4K >"$dir/refused.out" 2>&1 && fail "a new client is served"
expect 10 has "$dir/p.log" "no new client is served"
expect_of a "stamp 8" read:0:1M

leave a
expect_end p
[ "$(lines_with "$dir/p.log" "$waits")" = 1 ] || fail "said more than once"

say "two clients: until the last one leaves"
start_plugin q "$(server s)" size=64M
attach a q
attach b q
kill -INT "${pid[q]}"
expect 10 has "$dir/q.log" "$waits 2 connections are open"
leave a
expect 10 is q connections -eq 1
expect_of b "stamp 7" read:0:1M
alive q || fail "ended with a client attached"
expect_of b ok write:0:1M:8
leave b
expect_end q

say "a client that is killed has left too"
start_plugin r "$(server s)" size=64M
attach a r
kill -TERM "${pid[r]}"
expect 10 has "$dir/r.log" "$waits 1 connection is open"
kill -KILL "${pid[a]}"
expect_end r
leave a 2>/dev/null && fail "the client was not killed"

say "SIGTERM again: at once"
start_plugin t "$(server s)" size=64M
attach a t
kill -TERM "${pid[t]}"
expect 10 has "$dir/t.log" "$waits 1 connection is open"
kill -TERM "${pid[t]}"
expect_end t
expect 10 is s slabs_used -eq 0
expect_line "$dir/s.log" "client said BYE"
leave a || true

say "also one that is at work"
start_plugin w "$(server s)" size=64M
start_shadow x w
expect 10 is w writes -gt 100
kill -TERM "${pid[w]}"
expect 10 has "$dir/w.log" "$waits"
kill -TERM "${pid[w]}"
expect_end w
wait "${pid[x]}" && fail "the client has not noticed"
unset "pid[x]"

say "also while requests wait for a server, and none of them gets an error"
start_server stopped --memory=64M
start_plugin z "$(server stopped)" size=32M timeout=75
expect_req z ok write:0:8M:3
kill -STOP "${pid[stopped]}"
for i in 1 2 3 4; do
	req z "read:${i}M:4K" >"$dir/waits.$i" 2>&1 &
	waiting+=($!)
done
expect 10 is z connections -eq 4
request_waits() {
	ss -Htn state established "sport = :${port[stopped]}" |
		awk '$1 > 0 { found = 1 } END { exit !found }'
}
expect 10 request_waits
kill -TERM "${pid[z]}"
expect 10 has "$dir/z.log" "$waits 4 connections are open"
kill -TERM "${pid[z]}"
# The engine would wait five seconds for requests that do not end.
expect 3 gone "${pid[z]}"
expect_end z
wait "${waiting[@]}" || true
! grep -lx EIO "$dir"/waits.? || fail "a request got an error"
kill -CONT "${pid[stopped]}"

say "SIGHUP waits, however often"
start_plugin u "$(server s)" size=64M
attach b u
for _ in 1 2 3; do
	kill -HUP "${pid[u]}"
	expect 10 no_signal "${pid[u]}"
done
expect_of b "stamp 7" read:0:1M
expect_lines "$dir/u.log" "$waits" 1
leave b
expect_end u

say "signals that ask for nothing here end nothing"
start_plugin y "$(server s)" size=64M
attach b y
for signal in USR1 USR2 ALRM PROF IO VTALRM STKFLT XCPU XFSZ TTIN TTOU \
	RTMIN RTMAX; do
	kill -"$signal" "${pid[y]}"
	expect 10 no_signal "${pid[y]}"
	alive y || fail "SIG$signal has ended it"
done
expect_of b "stamp 7" read:0:1M
leave b
stop y || fail "exit status $? after SIGTERM"

say "the machine goes down: a process that is stopped continues"
# A process that has the pid of a front end which is gone: a signal would end it.
ln -s "$(command -v sleep)" "$dir/rswap-nbd"
"$dir/rswap-nbd" 1000 &
pid[other]=$!
start_plugin g "$(server s)" size=64M
attach b g
mkdir -p "$dir"/run/{away,far}
printf 'device /dev/none\npid %s\nstart 1\n' "${pid[other]}" >"$dir/run/away/state"
printf 'device /dev/none\npid %s\nstart %s\n' "${pid[g]}" \
	"$(sed 's/.*) //' "/proc/${pid[g]}/stat" | cut -d' ' -f20)" >"$dir/run/far/state"
RSWAP_RUN_DIR=$dir/run sh "$src/systemd/rswap-shutdown" keep
expect 10 has "$dir/g.log" "the machine goes down"
for i in 1 2 3; do
	kill -STOP "${pid[g]}"
	expect_of b "stamp 7" read:0:1M
done
# The real process, and the server is told.
RSWAP_RUN_DIR=$dir/run sh "$src/systemd/rswap-shutdown" poweroff
expect_end g
expect 10 is s slabs_used -eq 0
leave b || true
alive other || fail "a process that is no front end was ended"
stop other || true

say "the machine goes down: one that has ended is not waited for, though nobody reaps it"
perl -e '$| = 1; my $child = fork // die; exit unless $child; print "$child\n"; sleep 1000' \
	>"$dir/zombie" &
pid[parent]=$!
expect 10 test -s "$dir/zombie"
is_zombie() { grep -q '^State:.*Z' "/proc/$(<"$dir/zombie")/status"; }
expect 10 is_zombie
printf 'device /dev/none\npid %s\nstart %s\n' "$(<"$dir/zombie")" \
	"$(sed 's/.*) //' "/proc/$(<"$dir/zombie")/stat" | cut -d' ' -f20)" >"$dir/run/far/state"
mkdir "$dir/bin"
printf '#!/bin/sh\necho >>%s\n' "$dir/looks" >"$dir/bin/sleep"
chmod +x "$dir/bin/sleep"
PATH=$dir/bin:$PATH RSWAP_RUN_DIR=$dir/run sh "$src/systemd/rswap-shutdown" poweroff
[ ! -e "$dir/looks" ] || fail "looked for it $(wc -l <"$dir/looks") times more"
stop parent || true

say "no client: at once, whoever was there before"
start_plugin v "$(server s)" size=64M
attach b v
leave b
stop v HUP
