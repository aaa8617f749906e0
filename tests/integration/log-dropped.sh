#!/bin/bash
# Lines that nobody reads in time are dropped, and counted: by the metrics of the
# memory server and of the plugin, and by the log itself once somebody reads it.
. "$(dirname "$0")/functions.sh"
. "$here/metrics-functions.bash"
. "$here/log-functions.bash"

servers=8

# The log says where the metrics are while somebody still reads it.
declare -A figures
note_url() { # NAME
	figures[$1]=$(timeout $((20 * slow)) \
		grep -om1 'http://127\.0\.0\.1:[0-9]*/' "$dir/$1.pipe")metrics ||
		fail "$1 does not say where its metrics are"
}

dropped() { # NAME
	scrape "$1" "${figures[$1]}"
	metric "$1" rswap_log_lines_dropped_total
}

drops() { # NAME
	[ "$(dropped "$1")" -gt 0 ]
}

# A line for each, of 40 addresses, as each address has a limit of its own.
strangers() { # NAME TIMES
	perl -MIO::Socket::INET -e '
		my ($port, $times) = @ARGV;
		for my $n (map { $_ + 2 } 0 .. 39) {
			for (1 .. $times) {
				my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.$n",
					PeerAddr => "127.0.0.1", PeerPort => $port)
					or die "127.0.0.$n: $!\n";
				syswrite $s, "none of our messages, and as long as one\n" x 4;
				1 while sysread $s, my $answer, 4096;
			}
		}' "${port[$1]}" "$2" 2>"$dir/strangers.log" ||
		fail "strangers: $(cat "$dir/strangers.log")"
}

# Two lines of the plugin for each server.
drain_and_undo() {
	local i
	for ((i = 0; i < servers; i++)); do
		tell "d$i" drain >/dev/null
		tell "d$i" undrain >/dev/null
	done
}
drops_drains() {
	drain_and_undo
	drops p
}

# What the log says of them.
told() { # NAME
	grep -ao '[0-9]* log lines were dropped, as nobody read them in time' \
		"$dir/$1.text" | awk '{ sum += $1 } END { print sum + 0 }'
}
adds_up() { # NAME
	[ "$(told "$1")" = "$(dropped "$1")" ]
}

unread_log s
start_server s --memory=16M --slab-size=1M --metrics=0
note_url s
for ((i = 0; i < servers; i++)); do
	start_server "d$i" --memory=4M --slab-size=1M
	addresses+=("$(server "d$i")")
done
unread_log p
start_plugin p "${addresses[@]}" size=4M lanes=2 metrics=0
note_url p

say "what waits for a reader is not lost"
fill s
fill p
strangers s 1
drain_and_undo
for name in s p; do
	[ "$(dropped $name)" = 0 ] || fail "$name: $(dropped $name) lines are dropped"
done

say "what has no room is counted"
strangers s 10
drops s || fail "the memory server has dropped no line of 400"
expect 120 drops_drains

say "the log adds up to the same"
for name in s p; do
	read_again $name
	wait_for 60 adds_up $name ||
		fail "$name: the log tells of $(told $name) lines, the metric of $(dropped $name)"
	no_more_reading $name
done
