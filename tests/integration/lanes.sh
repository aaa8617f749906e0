#!/bin/bash
# How many lanes there are: by default they follow from nbdkit's threads, and in
# rswap-nbd from the processors.  A line of the log tells of lanes that do not fit
# nbdkit's threads.  And what the server's kernel may keep of each.
. "$(dirname "$0")/functions.sh"

start_server s --memory=64M --slab-size=1M

# Of the server's connections, each way, as docs/architecture.md says.
buffers_are_limited() {
	ss -tmnH state established "( sport = :${port[s]} )" >"$dir/sockets"
	awk -v most=$((1 << 20)) '
		match($0, /skmem:\([^)]*\)/) {
			n = split(substr($0, RSTART, RLENGTH), figure, /[(),]/)
			for (i = 1; i <= n; i++)
				if (figure[i] ~ /^[rt]b[0-9]+$/ && substr(figure[i], 3) > most) bad = 1
			seen++
		}
		END { exit bad || !seen }' "$dir/sockets" || fail "more than 1 MiB: $(cat "$dir/sockets")"
}

# lanes_are NUMBER ADVICE OPTION... [KEY=VALUE...]: and so often there is advice
lanes_are() {
	local number=$1 advice=$2 lines
	shift 2
	rm -f "$dir/p.log"
	start_plugin p "$@" "$(server s)" size=8M
	expect_value p lanes -eq "$number"
	expect_line "$dir/p.log" "serving 8M from 1 server: $number lanes"
	buffers_are_limited
	stop p # and all of its log is there
	lines=$(lines_with "$dir/p.log" "do not fit nbdkit's")
	[ "$lines" = "$advice" ] || fail "$*: $lines lines of advice"
}

if [ "$front" = nbd ]; then
	if [ "$(nproc)" = 1 ]; then lanes_are 21 0; else lanes_are 42 0; fi
	lanes_are 5 0 lanes=5
	exit 0
fi

# four thirds of the threads of two connections
lanes_are 42 0
lanes_are 42 0 -t16 lanes=auto
lanes_are 85 0 -t32
lanes_are 10 0 --threads=4
lanes_are 256 0 -t200

# fits a single connection, and what rswapctl attach has for 16
lanes_are 21 0 -t16 lanes=21
lanes_are 85 0 -t4 lanes=85

lanes_are 16 1 -t16 lanes=16
expect_line "$dir/p.log" "lanes=16 do not fit nbdkit's 16 threads" \
	"lanes=42 fits -t 16" "-t 6 fits lanes=16"
lanes_are 90 1 -t4 lanes=90
expect_line "$dir/p.log" "lanes=90" "lanes=10 fits -t 4" "-t 34 fits lanes=90"
