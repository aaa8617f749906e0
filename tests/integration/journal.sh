#!/bin/bash
# Where standard error is the stream to systemd's journal, each line begins with its
# priority; elsewhere none does.
. "$(dirname "$0")/functions.sh"

# What the program says goes to FILE, which is the journal by JOURNAL_STREAM.
say_to_journal() { # FILE FUNCTION...
	: >"$1"
	JOURNAL_STREAM=$(stat -c %d:%i "$1") "${@:2}"
}
priority_is() { # FILE PRIORITY WORD...
	expect 10 has_line "$1" "${@:3}"
	has_line "$1" "<$2>" "${@:3}" || fail "not of priority $2: $(grep -F "$3" "$1")"
}
all_have_one() { # FILE
	! grep -v '^<[35]>' "$1" || fail "lines without a priority in $(basename "$1")"
}

say_to_journal "$dir/s.log" start_server s --memory=64M --slab-size=1M
priority_is "$dir/s.log" 5 "serving 64M"
for front in nbdkit nbd; do
	say_to_journal "$dir/$front.log" start_plugin $front "$(server s)" size=8M timeout=2
	priority_is "$dir/$front.log" 5 "serving 8M from 1 server"
done
stop s KILL || true
for front in nbdkit nbd; do
	priority_is "$dir/$front.log" 3 "$(server s)"
	all_have_one "$dir/$front.log"
	stop $front
done
all_have_one "$dir/s.log"

say "elsewhere"
start_server s --memory=64M --slab-size=1M
front=nbd
start_plugin p "$(server s)" size=8M
! grep '^<' "$dir/p.log" || fail "a priority in a file"
! grep "^<" <(tail -n 2 "$dir/s.log") || fail "a priority in a file"
