#!/bin/bash
# attach says where a request would end before the server's grace time does, with
# one copy of each page; the defaults fit.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M
start_server b --memory=64M --slab-size=1M
start_server long --memory=64M --slab-size=1M --grace=300

quiet() { # LOG
	! has "$dir/$1.log" "too short" || fail "it warns: $(cat "$dir/$1.log")"
}

say "the defaults"
attach one || fail "attach: $(cat "$dir/one.log")"
quiet one
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"

say "a shorter timeout"
attach one --timeout=30 || fail "attach: $(cat "$dir/one.log")"
expect_line "$dir/one.log" warning --timeout=30 --grace=60 "--timeout=75 or more"
! grep '^<' "$dir/one.log" || fail "a priority in a file"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"

say "the same in systemd's journal"
: >"$dir/one.log"
JOURNAL_STREAM=$(stat -c %d:%i "$dir/one.log") attach one --timeout=30 ||
	fail "attach: $(cat "$dir/one.log")"
expect_line "$dir/one.log" "<4>  warning: " --timeout=30
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"

say "another server's grace time is longer"
attach one "$(server long)" || fail "attach: $(cat "$dir/one.log")"
expect_line "$dir/one.log" warning --timeout=90 --grace=300 "--timeout=315 or more"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"

say "with copies a request does not wait for one server"
attach one "$(server b)" --replicas=2 --timeout=30 ||
	fail "attach: $(cat "$dir/one.log")"
quiet one
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
expect_nothing_left "the end"
