#!/bin/bash
# A process of another user that looks like a front end, by its name and its
# arguments, is taken for none: it neither keeps a name from attach, nor is it ended
# by detach.
. "$(dirname "$0")/harness.sh"

requires command -v setpriv
start_server a --memory=64M --slab-size=1M

# A program that can be called as the front end, for all users.  Nobody may read it:
# then root owns the process's directory in /proc.
chmod 711 "$dir"
mkdir "$dir/other"
chmod 711 "$dir/other"
cp "$(perl -e 'print $^X')" "$dir/other/$program"
chmod 711 "$dir/other/$program"
ln -s "$(command -v perl)" "$dir/$program"

# What a process runs that has the arguments of the front end of the name far.
impostor=(-e 'sleep' "control=$RSWAP_RUN_DIR/far/control.sock")

nobody_called() { # PROGRAM
	exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@" "${impostor[@]}"
}

starts() { # NAME COMMAND...
	begin "$@"
	expect 10 looks_so "${pid[$1]}"
}

looks_so() { # PID
	[ "$(cat "/proc/$1/comm")" = "$program" ]
}

# Attach, and detach also of what has no state file, and leave the impostor NAME.
makes_no_difference() { # NAME
	attach far --name=far || fail "$1: attach: $(cat "$dir/far.log")"
	detach far far || fail "$1: detach: $(cat "$dir/far.log")"
	mkdir "$RSWAP_RUN_DIR/far"
	detach far far || fail "$1: detach: $(cat "$dir/far.log")"
	alive "$1" || fail "$1 was ended: $(cat "$dir/far.log")"
	! has "$dir/far.log" "stop $program" || fail "$(cat "$dir/far.log")"
	stop "$1" KILL || true
	expect_nothing_left "$1"
}

say "another user's"
starts nobody nobody_called "$dir/other/$program"
makes_no_difference nobody

say "another program by a link, as a setuid program that asks for a password"
starts link "$dir/$program" "${impostor[@]}"
makes_no_difference link

say "root's own front end is still found"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
rm "$RSWAP_RUN_DIR/far/state"
! attach again --name=far || fail "it is attached twice"
expect_line "$dir/again.log" "far is attached already"
detach far far || fail "detach: $(cat "$dir/far.log")"
expect_line "$dir/far.log" "stop $program (process"
expect_nothing_left "the end"
