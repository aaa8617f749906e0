#!/bin/bash
# nbdkit that ends while attach waits for it: the message names the signal or the
# status, and the cause where it is known; doctor knows it before.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

# fake_nbdkit <<SCRIPT: runs in nbdkit's place
fake_nbdkit() {
	rm -f "$dir/bin/nbdkit"
	{ echo '#!/bin/bash'; cat; } >"$dir/bin/nbdkit"
	chmod +x "$dir/bin/nbdkit"
}

# ends WORD...: attach fails, and one line has the words
ends() {
	! attach ends || fail "it is attached"
	expect_line "$dir/ends.log" "failed to start nbdkit with the plugin" "$@"
	expect_nothing_left "attach"
}

say "a status, and signals"
fake_nbdkit <<<'exit 3'
ends "nbdkit ended with exit status 3"
fake_nbdkit <<<'exit 0'
ends "nbdkit ended with exit status 0"
fake_nbdkit <<<'kill -ABRT $$'
ends "nbdkit was ended by signal 6 (SIGABRT): a failed assertion"
fake_nbdkit <<<'kill -KILL $$'
ends "nbdkit was ended by signal 9 (SIGKILL)" "OOM killer"
fake_nbdkit <<<'kill -SEGV $$'
ends "nbdkit was ended by signal 11 (SIGSEGV): a fault in nbdkit or the plugin"
rm "$dir/bin/nbdkit"
[ -z "$preload" ] || exit 0 # its runtime wants more than the limit

# As on a machine with less memory, but by a limit, which every kernel has: the
# real nbdkit is killed before its first instruction.
say "the kernel can't give nbdkit its static buffers"
ulimit -S -d 100000
ends "nbdkit was ended by signal 11 (SIGSEGV)" "193 MiB of static buffers" \
	"97 MiB of data (RLIMIT_DATA)" "raise the limit"
"$ctl" doctor --role=compute >"$dir/said" 2>&1 || true
expect_line "$dir/said" FAIL "memory for nbdkit" "193 MiB of static buffers" \
	SIGSEGV "97 MiB of data (RLIMIT_DATA)" "-> raise the limit"
ulimit -S -d unlimited
"$ctl" doctor --role=compute >"$dir/said" 2>&1 || true
expect_line "$dir/said" ok "memory for nbdkit"
attach well || fail "attach: $(cat "$dir/well.log")"

say "it ends while attach stays"
detach well nbd0 || fail "detach: $(cat "$dir/well.log")"
mapfile -t options < <(attach_options)
"$ctl" attach "$(server a)" "${options[@]}" --foreground >"$dir/stays.log" 2>&1 &
pid[stays]=$!
expect 20 has "$dir/stays.log" "stays until"
kill -KILL "$(nbdkits)"
expect 20 has "$dir/stays.log" "nbdkit was ended by signal 9 (SIGKILL)"
expect_line "$dir/stays.log" lost "rswapctl detach nbd0"
status=0
wait "${pid[stays]}" || status=$?
unset "pid[stays]"
[ "$status" = 1 ] || fail "attach: exit status $status"
detach well nbd0 || true
expect_nothing_left "the end"
