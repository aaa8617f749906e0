#!/bin/bash
# Nobody reads what the plugin and the memory server log, as when the journal's
# own memory is swapped out to this very device.  The pipes are full, and both go
# on: lanes that break are rebuilt, sessions begin and end.
. "$(dirname "$0")/functions.sh"
. "$here/log-functions.bash"

# fill, as far as there is somebody who writes all the time.
fill_a_busy_one() {
	rm "$dir/$1.log"
	full() {
		! dd if=/dev/zero of="$dir/$1.pipe" bs=4096 oflag=nonblock \
			status=none 2>"$dir/dd"
	}
	expect 5 full "$1"
}

# reads_at_last NAME TEXT: what was logged meanwhile comes when somebody reads
reads_at_last() {
	read_again "$1"
	expect 20 has "$dir/$1.text" "$2"
	no_more_reading "$1"
}

unread_log s
start_server s --memory=96M --slab-size=1M
fill s
network proxy s

unread_log p
start_plugin p "$(server proxy)" size=16M timeout=10
fill p

# nbdkit's own lines, several for each request
unread_log v
start_plugin v -v "$(server s)" size=16M timeout=10
fill_a_busy_one v

start_shadow load p --size=4M --connections=2 --depth=4 --max=64K
start_shadow verbose v --size=4M --connections=2 --depth=4 --max=64K
for i in 1 2 3; do
	kill -USR1 "${pid[proxy]}"
	expect 10 is p servers.0.recoveries -ge "$i"
done

# the server has something to say of each of these
for i in 1 2 3 4 5; do
	exec 8<>"/dev/tcp/127.0.0.1/${port[s]}"
	echo "this is none of our messages, and as long as one has to be" >&8 ||
		true
	cat <&8 >/dev/null || true
	exec 8>&-
done
start_plugin q "$(server s)" size=16M timeout=10
expect_req q ok write:0:4M:7
expect_req q "stamp 7" read:0:4M
stop q

finish_shadow load
finish_shadow verbose
expect_value p errors -eq 0
expect_value v errors -eq 0
expect_value p servers.0.reconnects -eq 0

# The end does not wait for a reader either: a second, and no longer.
stop v
reads_at_last p "connections rebuilt"
stop p
reads_at_last s "rswap-memserver: "
stop s
stop proxy KILL || true
stop v.reader KILL || true
