# A log that nobody reads, for tests that source functions.sh.
# shellcheck shell=bash

# unread_log NAME: NAME's log becomes a pipe that nobody reads.  The link is to be
# removed once NAME has it open, as cleanup reads all logs.
unread_log() {
	mkfifo "$dir/$1.pipe"
	ln -s "$1.pipe" "$dir/$1.log"
	# there is somebody who could read
	sleep infinity <>"$dir/$1.pipe" &
	pid[$1.reader]=$!
}

# fill NAME: to the last byte
fill() {
	local block
	rm "$dir/$1.log"
	for block in 4096 1; do
		! dd if=/dev/zero of="$dir/$1.pipe" bs=$block oflag=nonblock \
			2>"$dir/dd" || fail "the pipe of $1 does not fill"
		has "$dir/dd" "Resource temporarily unavailable" ||
			fail "$(cat "$dir/dd")"
	done
}

# read_again NAME: into $dir/NAME.text
read_again() {
	: >"$dir/$1.text"
	timeout $((60 * slow)) cat "$dir/$1.pipe" >>"$dir/$1.text" &
	pid[$1.cat]=$!
}

no_more_reading() { # NAME
	stop "$1.cat" KILL || true
	stop "$1.reader" KILL || true
}
