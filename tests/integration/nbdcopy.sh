#!/bin/bash
# nbdcopy and nbdinfo: a file in and out again, holes, and what is offered.
. "$(dirname "$0")/functions.sh"

requires nbdcopy --version
requires nbdinfo --version
limited() {
	timeout $((30 * slow)) "$@"
}
copy() {
	limited nbdcopy "$@"
}

start_server a --memory=64M --slab-size=1M
start_server b --memory=64M --slab-size=1M
start_plugin p "$(server a)" "$(server b)" size=64M

# 64 MiB: data, a hole of 20 MiB, data, zeros that are no hole, a hole
truncate -s 64M "$dir/in"
fill() { # FROM_MIB MIB SOURCE
	dd if="$3" of="$dir/in" bs=1M seek="$1" count="$2" conv=notrunc \
		status=none
}
fill 0 10 /dev/urandom
fill 30 9 /dev/urandom
fill 39 5 /dev/zero
fill 44 1 /dev/urandom

copy "$dir/in" "$(uri p)"
copy "$(uri p)" "$dir/out"
cmp "$dir/in" "$dir/out" || fail "what came out isn't what went in"
expect_value p pages_present -eq $((20 * 256))

limited nbdinfo --map "$(uri p)" | awk '{ print $1, $2, $4 }' >"$dir/map"
cat >"$dir/map.expected" <<END
0 10485760 data
10485760 20971520 hole,zero
31457280 9437184 data
40894464 5242880 hole,zero
46137344 1048576 data
47185920 19922944 hole,zero
END
diff -u "$dir/map.expected" "$dir/map" || fail "nbdinfo --map"
limited nbdinfo --map --totals "$(uri p)" | grep -E '20971520 +31\.2% +0 data' >/dev/null ||
	fail "nbdinfo --map --totals"

# once more over it, other data where there were holes
fill 0 64 /dev/urandom
copy --connections=4 --requests=16 "$dir/in" "$(uri p)"
copy --connections=4 --request-size=4194304 "$(uri p)" "$dir/out"
cmp "$dir/in" "$dir/out" || fail "what came out isn't what went in"

limited nbdinfo --json "$(uri p)" >"$dir/info"
for flag in is_read_only:false can_fua:true can_trim:true can_zero:true \
	can_fast_zero:true can_flush:true can_multi_conn:true \
	block_size_minimum:4096 block_size_preferred:4096 \
	block_size_maximum:33554432 export-size:67108864; do
	grep -qE "\"${flag%:*}\": *${flag#*:}" "$dir/info" ||
		fail "not $flag: $(cat "$dir/info")"
done
expect_value p errors -eq 0
