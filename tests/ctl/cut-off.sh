#!/bin/bash
# The kernel gives up a connection of the device while mkswap waits for it, as on a machine
# that is very slow: attach connects the device anew, in the end by one connection.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M
queues=$RSWAP_FAKE/block/nbd0/mq

# The device has queues for so many connections at each mkswap, one after the other; the
# front end has two.
queues_are() { # N...
	printf '%s\n' "$@" >"$dir/queues"
	hook mkswap before <<-HOOK
		rm -rf $queues
		for i in \$(seq \$(head -n 1 $dir/queues)); do mkdir -p $queues/\$i; done
		sed -i 1d $dir/queues
	HOOK
}
kernel_did() { # WORD...: of connect, disconnect, mkswap, swapon, in that order
	local did
	did=$(sed -n 's/^\(connect\|disconnect\|mkswap\|swapon\).*/\1/p' "$RSWAP_FAKE/log" | paste -sd' ')
	[ "$did" = "$*" ] || fail "the kernel did: $did, and not: $*"
	: >"$RSWAP_FAKE/log"
}

say "one is lost"
queues_are 3 2
attach lost --name=far || fail "attach: $(cat "$dir/lost.log")"
expect_lines "$dir/lost.log" "the kernel serves only one connection of /dev/nbd0: connecting again" 1
kernel_did connect mkswap disconnect connect mkswap swapon
detach lost far || fail "detach: $(cat "$dir/lost.log")"
expect_nothing_left "detach"

say "none is lost"
: >"$RSWAP_FAKE/log"
queues_are 2
attach well --name=far || fail "attach: $(cat "$dir/well.log")"
kernel_did connect mkswap swapon
detach well far || fail "detach: $(cat "$dir/well.log")"

say "again and again"
: >"$RSWAP_FAKE/log"
queues_are 3 3 1
attach again --name=far || fail "attach: $(cat "$dir/again.log")"
kernel_did connect mkswap disconnect connect mkswap disconnect connect mkswap swapon
ln -s "$RSWAP_RUN_DIR/far/control.sock" "$dir/far.ctl"
expect_value far connections = 1
detach again far || fail "detach: $(cat "$dir/again.log")"
no_hooks
