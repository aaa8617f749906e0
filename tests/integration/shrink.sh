#!/bin/bash
# Programs that swapped have shrunk to a tenth: the servers keep no more than half
# as much again as is needed for what is left, with their own slab size and slots
# as the kernel hands them out (bench/swapslots.c).
. "$(dirname "$0")/functions.sh"

ratio_below() { # PLUGIN HUNDREDTHS
	local taken present
	taken=$(value "$1" taken_bytes)
	present=$(value "$1" present_bytes)
	said="$((taken >> 20)) MiB taken for $((present >> 20)) MiB"
	[ "$present" -gt 0 ] && [ $((taken * 100)) -lt $((present * $2)) ]
}

start_server s --memory=2G
for pattern in tail programs chunk:4 chunk:1; do
	start_plugin p "$(server s)" size=1G lanes=4
	used=$("$build/bench/swapslots" --fill=200 --pattern="$pattern" \
		"$(uri p)")
	wait_for 20 ratio_below p 150 || fail "$pattern: $said"
	expect_value p errors -eq 0
	say "$pattern: $said, of which the kernel uses $((${used#* } / 256)) MiB"
	stop p
done

say "large slabs are told of"
start_server large --memory=4G --slab-size=64M
start_plugin q "$(server large)" size=3G lanes=4
"$build/bench/swapslots" --fill=200 --pattern=tail "$(uri q)" >/dev/null
settled() { is q present_bytes -lt $((40 << 20)); }
expect 20 settled
! ratio_below q 1000 || fail "it does not matter: $said"
say "$said"
"$build/ctl/rswapctl" status "$dir/q.ctl" >"$dir/said" || true
expect_line "$dir/said" "memory taken" GiB
"$build/ctl/rswapctl" check "$dir/q.ctl" >"$dir/said" || true
expect_line "$dir/said" "of the servers' memory are taken" "slabs of 64 MiB"
