#!/bin/bash
# A front end that ends while attach waits for it: the message names the signal or
# the status, and the cause where it is known; doctor knows it before.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

# fake_program <<SCRIPT: runs in the front end's place
fake_program() {
	rm -f "$dir/bin/$program"
	{ echo '#!/bin/bash'; cat; } >"$dir/bin/$program"
	chmod +x "$dir/bin/$program"
}

real_program() {
	rm "$dir/bin/$program"
	case $front in
	nbd) ln -s "$rswap_nbd" "$dir/bin/$program" ;;
	ublk) ln -s "$fake_ublk" "$dir/bin/$program" ;;
	esac
}

# ends WORD...: attach fails, and one line has the words
ends() {
	! attach ends || fail "it is attached"
	expect_line "$dir/ends.log" "failed to start the front end" "$@"
	expect_nothing_left "attach"
}

say "a status, and signals"
fake_program <<<'exit 3'
ends "$program ended with exit status 3"
fake_program <<<'exit 0'
ends "$program ended with exit status 0"
fake_program <<<'kill -ABRT $$'
ends "$program was ended by signal 6 (SIGABRT): a failed assertion"
fake_program <<<'kill -KILL $$'
ends "$program was ended by signal 9 (SIGKILL)" "OOM killer"
fake_program <<<'kill -SEGV $$'
ends "$program was ended by signal 11 (SIGSEGV): a fault in $program"
real_program
[ -z "$preload" ] || exit 0 # its runtime wants more than the limit

# As on a machine with less memory, but by a limit, which every kernel has: the
# real nbdkit is killed before its first instruction.
if [ "$front" = nbdkit ]; then
	say "the kernel can't give nbdkit its static buffers"
	ulimit -S -d 100000
	ends "nbdkit was ended by signal 11 (SIGSEGV)" \
		"193 MiB of static buffers" "97 MiB of data (RLIMIT_DATA)" \
		"raise the limit"
	"$ctl" doctor --role=compute --front=nbdkit >"$dir/said" 2>&1 || true
	expect_line "$dir/said" FAIL "memory for nbdkit" \
		"193 MiB of static buffers" SIGSEGV \
		"97 MiB of data (RLIMIT_DATA)" "-> raise the limit"
	ulimit -S -d unlimited
	"$ctl" doctor --role=compute --front=nbdkit >"$dir/said" 2>&1 || true
	expect_line "$dir/said" ok "memory for nbdkit"
fi

say "it ends while attach stays"
mapfile -t options < <(attach_options)
"$ctl" attach "$(server a)" "${options[@]}" --foreground >"$dir/stays.log" 2>&1 &
pid[stays]=$!
expect 60 has "$dir/stays.log" "stays until"
# Swap on a ublk device would stay on (ublk.sh).
[ "$front" != ublk ] || swapoff "/dev/$device"
kill -KILL "$(daemons)"
expect 20 has "$dir/stays.log" "$program was ended by signal 9 (SIGKILL)"
expect_line "$dir/stays.log" lost "rswapctl detach $device"
status=0
wait "${pid[stays]}" || status=$?
unset "pid[stays]"
[ "$status" = 1 ] || fail "attach: exit status $status"
detach well "$device" || true
expect_nothing_left "the end"
