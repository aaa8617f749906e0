# What a process tells Prometheus, for tests that source functions.sh.
# shellcheck shell=bash

# url NAME: where its log says that its metrics are
url() {
	echo "$(grep -o 'http://127\.0\.0\.1:[0-9]*/' "$dir/$1.log" | tail -n 1)metrics"
}

# scrape NAME [URL]: into $dir/NAME.prom
scrape() {
	curl -fsS --max-time $((20 * slow)) "${2:-$(url "$1")}" >"$dir/$1.prom"
}

# metric NAME SERIES: of the last scrape
metric() {
	awk -v series="$2" '$1 == series { print $2; found = 1 }
		END { exit !found }' "$dir/$1.prom" ||
		fail "$1 has no $2"
}

# expect_metric NAME SERIES NUMBER: of the last scrape
expect_metric() {
	[ "$(metric "$1" "$2")" = "$3" ] ||
		fail "$1: $2 is $(metric "$1" "$2"), and not $3"
}

# same NAME SERIES PATH...: what the control socket tells, a sum
same() {
	local name=$1 series=$2 sum=0 path
	for path in "${@:3}"; do
		sum=$((sum + $(value "$name" "$path")))
	done
	[ "$(metric "$name" "$series")" = "$sum" ] ||
		fail "$name: $series is $(metric "$name" "$series"), ${*:3} $sum"
}
