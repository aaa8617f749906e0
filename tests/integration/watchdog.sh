#!/bin/bash
# The memory server answers the service manager's watchdog as long as all its
# loops turn: not while it is stopped, and not while one data thread hangs.
. "$(dirname "$0")/functions.sh"

# The service manager's socket; each message is a line in the file.
perl -MSocket -MIO::Handle -e '
	socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
	bind($s, pack_sockaddr_un($ARGV[0])) or die "bind: $!";
	open(my $log, ">", $ARGV[1]) or die "$ARGV[1]: $!";
	$log->autoflush(1);
	print $log "$_\n" while defined recv($s, $_, 4096, 0);
' "$dir/notify" "$dir/told" &
pid[manager]=$!
expect 10 test -S "$dir/notify"

answers() {
	grep -cx WATCHDOG=1 "$dir/told"
}

answers_more_than() {
	[ "$(answers)" -gt "$1" ]
}

# It answers four times in 400 ms.
expect_answers() {
	local before
	before=$(answers) || true
	expect 10 answers_more_than $((before + 4))
}

expect_none() {
	local before
	sleep 1 # what it had sent before
	before=$(answers) || true
	sleep 2
	[ "$(answers)" = "$before" ] || fail "answers although $1"
}

say "it answers, and asks for a watchdog longer than its grace time"
NOTIFY_SOCKET=$dir/notify WATCHDOG_USEC=400000 \
	start_server s --memory=64M --grace=20
expect_answers
grep -qx WATCHDOG_USEC=35000000 "$dir/told" || fail "told: $(<"$dir/told")"

say "not while it is stopped"
kill -STOP "${pid[s]}"
expect_none "it is stopped"
kill -CONT "${pid[s]}"
expect_answers

# hang_thread TID: until release_thread.  A tracer stops one thread alone
# (PTRACE_ATTACH).  False where this machine does not let it.
hang_thread() {
	rm -f "$dir"/tracer.{out,log}
	perl -e '
		require "syscall.ph";
		syscall(&SYS_ptrace, 16, $ARGV[0] + 0, 0, 0) == 0
			or die "ptrace: $!";
		waitpid($ARGV[0], 0x40000000);
		print "stopped\n";
		close STDOUT;
		sleep 1000;
	' "$1" >"$dir/tracer.out" 2>"$dir/tracer.log" &
	pid[tracer]=$!
	expect 10 traced
	[ ! -s "$dir/tracer.log" ] ||
		say "this machine does not let it trace: $(<"$dir/tracer.log")"
	[ -s "$dir/tracer.out" ]
}

traced() {
	[ -s "$dir/tracer.out" ] || [ -s "$dir/tracer.log" ]
}

release_thread() {
	kill "${pid[tracer]}" 2>/dev/null || true
	wait "${pid[tracer]}" || true
	unset "pid[tracer]"
}

say "not while a data thread hangs"
for task in /proc/"${pid[s]}"/task/*; do
	[ "$(<"$task/comm")" != data-0 ] || thread=${task##*/}
done
! hang_thread "$thread" || expect_none "a data thread hangs"
release_thread
expect_answers

say "its end"
stop s
grep -q STOPPING=1 "$dir/told" || fail "told: $(<"$dir/told")"

say "rswap-nbd answers, and not while its loop hangs; check tells of that"
front=nbd
start_server t --memory=64M
: >"$dir/told"
NOTIFY_SOCKET=$dir/notify WATCHDOG_USEC=400000 start_plugin p "$(server t)" size=32M
expect_answers
expect_value p turned_ms -lt 3000
if hang_thread "${pid[p]}"; then
	expect 30 is p turned_ms -gt 5000
	expect_none "the loop hangs"
	"$build/ctl/rswapctl" check "$dir/p.ctl" >"$dir/check" 2>&1 && fail "all is well"
	grep -q loop-hangs "$dir/check" || fail "check: $(<"$dir/check")"
fi
release_thread
expect_answers
expect 10 is p turned_ms -lt 3000

kill "${pid[manager]}"
wait "${pid[manager]}" || true
unset "pid[manager]"
