#!/bin/bash
# Random requests against a shadow copy: over one server and over three, with
# 1, 2 and 16 lanes; and the figures that the status gives for it.
. "$(dirname "$0")/functions.sh"

# log_lines NAME...: how many their logs have
log_lines() {
	local name
	for name; do
		cat "$dir/$name.log"
	done | wc -l
}

# check NAME SERVER...: the pages, slabs and memory, while there are pages and
# when all are trimmed
check() {
	local name=$1 present rss_before=0 rss_after=0 s lines
	expect_line "$dir/$name.log" "serving "
	lines=$(log_lines "$@")
	shift
	present=$(shadow "$name" --seconds=2 --no-trims --size=48M |
		sed -n 's/.* present //p')
	say "$name: $present pages present"
	expect_value "$name" pages_present -eq "$present"
	expect_value "$name" pages_lost -eq 0
	expect_value "$name" errors -eq 0
	for s; do
		expect_value "$s" slabs_used -gt 0
		rss_before=$((rss_before + $(value "$s" rss_bytes)))
	done
	expect_req "$name" ok trim:0:32M
	expect_req "$name" ok trim:32M:32M
	expect_value "$name" pages_present -eq 0
	for s; do
		expect 10 is "$s" slabs_used -eq 0
	done
	expect_value "$name" slabs_live -eq 0
	# the stock of ready slabs is all that may stay
	memory_back() {
		rss_after=0
		for s; do
			rss_after=$((rss_after + $(value "$s" rss_bytes)))
		done
		[ "$rss_after" -lt $((rss_before - present * 4096 * 3 / 4)) ]
	}
	[ "$sanitizer" ] || expect 10 memory_back "$@"
	shadow "$name" --seconds=1 --trim-at-end --size=48M
	expect_value "$name" pages_present -eq 0
	for s; do
		expect 10 is "$s" slabs_used -eq 0
	done
	# thousands of requests, slabs that came and went: nobody is told
	[ "$(log_lines "$name" "$@")" = "$lines" ] ||
		fail "told: $(cd "$dir" && tail -n 5 "$name.log" "${@/%/.log}")"
}

start_server one --memory=256M --slab-size=4M
start_plugin single "$(server one)" size=64M lanes=2
check single one

for s in a b c; do
	start_server "$s" --memory=64M --slab-size=1M
done
start_plugin three "$(server a)" "$(server b)" "$(server c)" size=64M lanes=16
check three a b c
stop three

start_plugin narrow "$(server a)" "$(server b)" size=64M lanes=1
shadow narrow --seconds=1 --connections=2
stop narrow
