#!/bin/bash
# Each step of attach fails, before and after it has done its work: everything
# before it is undone, in an order in which nothing is taken away under its user.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

# rolls_back WHAT WORD...: attach fails and says so, and nothing is left
rolls_back() {
	local what=$1
	shift
	[ "$(status_of attach "$what" --name=far)" = 1 ] ||
		fail "$what: attach does not fail: $(cat "$dir/$what.log")"
	expect_line "$dir/$what.log" "rswapctl attach: failed to" "$@"
	expect_nothing_left "$what"
}

for step in connect mkswap swapon; do
	for when in before after; do
		say "$step fails, $when its work"
		echo 'exit 1' | hook $step $when
		rolls_back "$step-$when" "failed to $step"
		no_hooks
	done
done

say "there is no module nbd"
rm -r "$RSWAP_FAKE"/block/nbd*
echo 'exit 1' | hook modprobe before
rolls_back modprobe "failed to load the driver: modprobe"
no_hooks

say "there is one, and attach loads it"
attach loads --name=far || fail "attach: $(cat "$dir/loads.log")"
done_by_tools "modprobe nbd nbds_max=16 max_part=0" || fail "not loaded"
detach loads far || fail "detach: $(cat "$dir/loads.log")"

say "the reserve cannot be set"
echo 1024 >"$RSWAP_FAKE/min_free_kbytes"
mount -o remount,bind,ro /proc/sys/vm/min_free_kbytes
rolls_back reserve "failed to set the kernel's memory settings" min_free_kbytes
mount -o remount,bind,rw /proc/sys/vm/min_free_kbytes

say "the directory cannot be made, and what is there is left alone"
touch "$RSWAP_RUN_DIR/far"
[ "$(status_of attach directory --name=far)" = 1 ] ||
	fail "directory: $(cat "$dir/directory.log")"
expect_line "$dir/directory.log" "failed to make state directory"
[ -f "$RSWAP_RUN_DIR/far" ] || fail "it is gone"
rm "$RSWAP_RUN_DIR/far"

say "no server answers"
status=0
"$ctl" attach 127.0.0.1:1 --size=16M --transport=tcp "${front_options[@]}" \
	--timeout=1 --name=far >"$dir/server.log" 2>&1 || status=$?
[ "$status" = 1 ] || fail "exit status $status"
expect_line "$dir/server.log" "failed to start the front end"
expect_nothing_left "no server"

say "the front end is killed while the device is connected"
hook mkswap before <<HOOK
pkill -KILL -f "^[^ ]*$program .*-U $RSWAP_RUN_DIR/"
exit 1
HOOK
rolls_back killed "failed to mkswap"
no_hooks

say "swap that cannot be taken back stays, with all that stands below it"
echo 'exit 1' | hook swapon after
echo 'exit 1' | hook swapoff before
[ "$(status_of attach stays --name=far)" = 1 ] || fail "it does not fail"
expect_line "$dir/stays.log" "swapon can't be undone" "rswapctl detach far"
no_hooks
connected 0 && swaps_to 0 || fail "it is gone: $(cat "$dir/stays.log")"
[ -n "$(daemons)" ] || fail "$program is gone"
detach stays far || fail "detach: $(cat "$dir/stays.log")"
expect_nothing_left "detach"

say "all is as before: attach works"
attach works --name=far || fail "attach: $(cat "$dir/works.log")"
detach works far || fail "detach: $(cat "$dir/works.log")"
