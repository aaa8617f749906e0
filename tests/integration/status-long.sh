#!/bin/bash
# The status of a server with so many sessions that it is longer than 256 KiB
# comes whole, to any client and to rswapctl.
. "$(dirname "$0")/functions.sh"

sessions=1100
files=16384 # that many sessions may need for their lanes
[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge $files ] ||
	skip "needs $files file descriptors"
ulimit -n $files

start_server s --memory=64M --slab-size=1M --transport=tcp --max-sessions=1500
mkfifo "$dir/hold"
perl -e '
	require "$ARGV[0]/wire.pl";
	my @sessions = map { session($ARGV[1]) } 1 .. $ARGV[2];
	print "open\n";
	close STDOUT;
	readline STDIN; # until the test says so
	bye($_) for @sessions' "$here" "${port[s]}" "$sessions" \
	<"$dir/hold" >"$dir/sessions.out" 2>"$dir/sessions.log" &
pid[sessions]=$!
exec {hold}>"$dir/hold"
expect 60 has "$dir/sessions.out" open
ask s >"$dir/answer"
[ "$(wc -c <"$dir/answer")" -gt $((256 * 1024)) ] ||
	fail "the answer has $(wc -c <"$dir/answer") bytes only"
expect_line "$dir/answer" "sessions.$((sessions - 1)).lanes 0"
expect_line "$dir/answer" "cpu_us" # behind them
"$build/ctl/rswapctl" status --server="$dir/s.ctl" >"$dir/said" 2>&1 ||
	fail "rswapctl status: $(tail -n 3 "$dir/said")"
[ "$(lines_with "$dir/said" hostile)" = "$sessions" ] ||
	fail "rswapctl shows $(lines_with "$dir/said" hostile) sessions"
exec {hold}>&-
wait "${pid[sessions]}" || fail "sessions: exit status $?"
unset "pid[sessions]"
