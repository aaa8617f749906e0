#!/bin/bash
# What rswap@NAME.service calls: detach asks systemd for time before it waits for
# anything, and with --if-dead it leaves a device that a front end serves; attach is
# undone where the unit stops meanwhile.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

# A socket as systemd's: what is told there goes to $dir/told, a line each.
perl -MIO::Socket::UNIX -e '
	my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0])
		or die;
	$| = 1;
	while (defined $s->recv(my $told, 4096)) { print "$told\n" }' \
	"$dir/notify" >>"$dir/told" &
pid[notify]=$!
expect 5 test -S "$dir/notify"

say "a stop asks for the time that swapoff, and what is before and after it, may take"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
NOTIFY_SOCKET=$dir/notify detach far far --timeout=1000 ||
	fail "detach: $(cat "$dir/far.log")"
expect 5 grep -q EXTEND_TIMEOUT_USEC= "$dir/told"
s=$(($(sed -n 's/EXTEND_TIMEOUT_USEC=//p' "$dir/told") / 1000000))
[ "$s" -ge 1100 ] || fail "$s s"
expect_nothing_left "a stop"

say "a device that lives stays, also where a start by the unit fails"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
swap_used 0 1024
! attach again --name=far || fail "it is attached twice"
: >"$dir/told"
NOTIFY_SOCKET=$dir/notify detach far --if-dead far ||
	fail "detach: $(cat "$dir/far.log")"
sleep 0.5
[ ! -s "$dir/told" ] || fail "systemd would wait for the front end: $(cat "$dir/told")"
[ ! -s "$dir/far.log" ] || fail "it says $(cat "$dir/far.log")"
swaps_to 0 || fail "swap is off"
connected 0 || fail "it is disconnected"
[ -n "$(daemons)" ] || fail "the front end is gone"

say "a device whose front end has died does not"
process=$(daemons)
kill -KILL "$process"
expect 10 gone "$process"
[ "$(NOTIFY_SOCKET=$dir/notify status_of detach far --if-dead far)" = 2 ] ||
	fail "$(cat "$dir/far.log")"
expect 5 grep -q EXTEND_TIMEOUT_USEC= "$dir/told"
expect_line "$dir/far.log" "far is detached; 1 MiB" "are lost"
expect_nothing_left "a dead front end"

say "nor does what an attach that was killed has left"
hook mkswap after <<'HOOK'
kill -KILL $RSWAPCTL
HOOK
! attach one --name=one || fail "attach: $(cat "$dir/one.log")"
no_hooks
connected 0 && [ -n "$(daemons)" ] || fail "it left nothing"
detach one --if-dead one || fail "$(cat "$dir/one.log")"
expect_nothing_left "an attach that was killed in mkswap"
mkdir "$RSWAP_RUN_DIR/one"
: >"$RSWAP_RUN_DIR/one/state"
detach one --if-dead one || fail "$(cat "$dir/one.log")"
expect_nothing_left "an attach that was killed"

say "a stop comes while attach is at work: without ExecStop=, and with SIGCONT"
hook mkswap after <<'HOOK'
kill -CONT $RSWAPCTL
while [ -d /proc/$PPID ]; do sleep 0.02; done
HOOK
: >"$dir/told"
[ "$(NOTIFY_SOCKET=$dir/notify status_of attach one --name=one)" = 1 ] ||
	fail "attach: $(cat "$dir/one.log")"
expect 5 grep -q EXTEND_TIMEOUT_USEC= "$dir/told"
expect_line "$dir/one.log" "failed to mkswap" interrupted
expect_nothing_left "a stop while attach is at work"

say "SIGCONT from elsewhere does nothing"
hook mkswap after <<'HOOK'
kill -CONT $RSWAPCTL
HOOK
attach one --name=one || fail "attach: $(cat "$dir/one.log")"
no_hooks
detach one one || fail "detach: $(cat "$dir/one.log")"
expect_nothing_left "SIGCONT"
stop notify TERM || true
