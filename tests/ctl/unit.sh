#!/bin/bash
# What rswap@NAME.service calls: detach asks systemd for time before it waits for
# anything, and with --if-dead it leaves a device that a front end serves.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

# A socket as systemd's: what is told there goes to $dir/told, a line each.
perl -MIO::Socket::UNIX -e '
	my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0])
		or die;
	$| = 1;
	while (defined $s->recv(my $told, 4096)) { print "$told\n" }' \
	"$dir/notify" >"$dir/told" &
pid[notify]=$!
expect 5 test -S "$dir/notify"

say "a stop asks for the time that swapoff, and what is before and after it, may take"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
NOTIFY_SOCKET=$dir/notify detach far far --timeout=1000 ||
	fail "detach: $(cat "$dir/far.log")"
expect 5 grep -q EXTEND_TIMEOUT_USEC= "$dir/told"
s=$(($(sed -n 's/EXTEND_TIMEOUT_USEC=//p' "$dir/told") / 1000000))
[ "$s" -ge 1100 ] || fail "$s s"
stop notify TERM || true
expect_nothing_left "a stop"

say "a device that lives stays, also where a start by the unit fails"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
swap_used 0 1024
! attach again --name=far || fail "it is attached twice"
detach far --if-dead far || fail "detach: $(cat "$dir/far.log")"
[ ! -s "$dir/far.log" ] || fail "it says $(cat "$dir/far.log")"
swaps_to 0 || fail "swap is off"
connected 0 || fail "it is disconnected"
[ -n "$(daemons)" ] || fail "the front end is gone"

say "a device whose front end has died does not"
process=$(daemons)
kill -KILL "$process"
expect 10 gone "$process"
[ "$(status_of detach far --if-dead far)" = 2 ] || fail "$(cat "$dir/far.log")"
expect_line "$dir/far.log" "far is detached; 1 MiB" "are lost"
expect_nothing_left "a dead front end"

say "nor does what an attach that was killed has left"
mkdir "$RSWAP_RUN_DIR/one"
: >"$RSWAP_RUN_DIR/one/state"
detach one --if-dead one || fail "$(cat "$dir/one.log")"
expect_nothing_left "an attach that was killed"
