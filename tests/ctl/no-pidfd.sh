#!/bin/bash
# A kernel that gives no pidfd: attach and detach work all the same.
. "$(dirname "$0")/harness.sh"

export RSWAP_FAKE_NO_PIDFD=1
start_server a --memory=64M --slab-size=1M

say "attach, and a detach that stops the front end"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
detach far far || fail "detach: $(cat "$dir/far.log")"
expect_nothing_left "detach"

say "attach that stays ends with its front end"
mapfile -t options < <(attach_options)
"$ctl" attach "$(server a)" "${options[@]}" --foreground >"$dir/stays.log" 2>&1 &
pid[stays]=$!
expect 60 has "$dir/stays.log" "stays until"
kill -TERM "${pid[stays]}"
expect 60 gone "${pid[stays]}"
unset "pid[stays]"
expect_nothing_left "the end"
