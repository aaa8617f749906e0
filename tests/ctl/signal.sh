#!/bin/bash
# A signal comes during each step of attach, before and after the step has done
# its work; and rswapctl is killed there, which detach makes good.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

# The step sends the signal, and then does not end by itself.
signal_hook() { # STEP WHEN SIGNAL
	hook "$1" "$2" <<HOOK
kill -$3 \$RSWAPCTL
while [ -d /proc/\$PPID ]; do sleep 0.02; done
HOOK
}

# netlink does not wait: the kernel carries a request out, or does not.
connect_hook() { # WHEN SIGNAL
	hook connect "$1" <<HOOK
kill -$2 \$RSWAPCTL
HOOK
}

for signal in INT TERM HUP; do
	for step in mkswap swapon; do
		# each signal is handled in one place: one step with all of them
		[ $step$signal != mkswapINT ] && [ $step$signal != mkswapHUP ] ||
			continue
		for when in before after; do
			what=$step-$when-$signal
			say "SIG$signal during $step, $when its work"
			signal_hook $step $when $signal
			[ "$(status_of attach "$what" --name=far)" = 1 ] ||
				fail "$what: $(cat "$dir/$what.log")"
			expect_line "$dir/$what.log" "failed to $step" interrupted
			expect_nothing_left "$what"
			no_hooks
		done
	done
done
say "SIGTERM during modprobe"
rm -r "$RSWAP_FAKE"/block/nbd*
signal_hook modprobe before TERM
[ "$(status_of attach modprobe --name=far)" = 1 ] ||
	fail "modprobe: $(cat "$dir/modprobe.log")"
expect_line "$dir/modprobe.log" "failed to load the driver" interrupted
expect_nothing_left modprobe
no_hooks
nbd-kernel devices 4
for when in before after; do
	say "SIGTERM during connect, $when it"
	connect_hook $when TERM
	[ "$(status_of attach connect-$when --name=far)" = 1 ] ||
		fail "connect: $(cat "$dir/connect-$when.log")"
	expect_line "$dir/connect-$when.log" "failed to connect the device"
	expect_nothing_left "connect, $when"
	no_hooks
done

daemon_runs() {
	[ -n "$(daemons)" ]
}

say "SIGTERM while the front end waits for its server"
stop a
start_silent
port[a]=$(cat "$dir/silent.port")
begin attach attach starting --name=far
expect 10 daemon_runs
# not a child of its that is about to run another program
kill -TERM "$(pgrep -o -f "^$ctl attach .*--name=far")"
expect 20 gone "${pid[attach]}"
unset "pid[attach]"
expect_line "$dir/starting.log" "failed to start the front end" interrupted
expect_nothing_left "starting"
stop silent KILL || true
unset "port[a]"
start_server a --memory=64M --slab-size=1M

# rswapctl cannot undo anything after SIGKILL; what is left has a name, and is
# taken away by it.
for step in connect mkswap swapon; do
	for when in before after; do
		what=kill-$step-$when
		say "SIGKILL during $step, $when its work"
		echo 'kill -KILL $RSWAPCTL' | hook $step $when
		[ "$(status_of attach "$what" --name=far)" -gt 1 ] ||
			fail "$what: $(cat "$dir/$what.log")"
		no_hooks
		# the tool goes on alone
		expect 10 no_tools
		[ "$(status_of attach "$what" --name=far)" = 1 ] ||
			fail "$what: attached twice: $(cat "$dir/$what.log")"
		expect_line "$dir/$what.log" "rswapctl detach far"
		detach "$what" far || fail "$what: $(cat "$dir/$what.log")"
		expect_nothing_left "$what"
	done
done
say "all is as before: attach works"
attach works --name=far || fail "attach: $(cat "$dir/works.log")"
detach works far || fail "detach: $(cat "$dir/works.log")"
