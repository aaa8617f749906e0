#!/bin/bash
# What NBD's requests mean here: alignment, pages that were never written, zeros,
# trim, FUA, extents, several connections; and which of them need the network.
. "$(dirname "$0")/functions.sh"

start_server s --memory=64M --slab-size=4M
# not a multiple of a slab, and not the end of one
start_plugin p "$(server s)" size=30M

# Unaligned: EINVAL, and one line however often.
for r in read:512:4096 read:0:512 read:0:6144 check:4095:2:3 \
	write:512:4096:3 write:0:512:3 write:4096:4608:3 \
	trim:512:4096 trim:0:100 zero:1:4096 zero:0:512 zero:0:1:fast; do
	expect_req p EINVAL "$r"
	expect_req p EINVAL "$r"
done
expect_line "$dir/p.log" 4096 "nbd-client -block-size 4096" \
	"--filter=blocksize minblock=4096"
expect_lines "$dir/p.log" blocksize 1
expect_req p zeros read:0:30M

# Beyond the end: NBD wants EINVAL, or ENOSPC for a write.
expect_req p EINVAL read:30M:4096
expect_req p ENOSPC write:30M:4096:3
expect_req p EINVAL read:29M:2M

# Never written: no network.
expect_req p zeros read:0:16M
expect_req p zeros read:0:4096
expect_req p zeros read:29M:1M
expect_value s reads -eq 0
expect_value s slabs_used -eq 0
expect_req p "0+31457280 hole" extents:0:30M

# Zeros are not sent.
expect_req p ok write:0:8M:0
expect_value s writes -eq 0
expect_value p zero_pages -eq 2048
expect_value p pages_present -eq 0
expect_req p "0+31457280 hole" extents:0:30M

# Pages with a single word that isn't zero are.
expect_req p ok write:8K:4096:9
expect_req p ok write:12K:4096:10
expect_req p "stamp 9" read:8K:4096
expect_req p "stamp 10" read:12K:4096
expect_value s writes -eq 2
expect_value p pages_present -eq 2
expect_req p "0+8192 hole, 8192+8192 data, 16384+31440896 hole" extents:0:30M
expect_req p "8192+8192 data, 16384+49152 hole" extents:8K:56K
expect_req p "12288+4096 data" extents:12K:4K

# Present becomes zeros, in the middle of a request with both.
expect_req p ok write:0:64K:3
expect_req p ok write:16K:16K:0
expect_value p pages_present -eq 12
expect_req p "stamp 3" read:0:16K
expect_req p zeros read:16K:16K
expect_req p "stamp 3" read:32K:32K
expect_req p "stamp 3 x12, zeros x4" scan:0:64K

# Trim and zero, every way, and again.
expect_req p ok trim:0:4096
expect_req p ok trim:0:4096:fua
expect_req p ok zero:4096:4096:fast
expect_req p ok zero:8K:4096:nohole
expect_req p ok zero:12K:4096:fua
expect_req p zeros read:0:32K
expect_value p pages_present -eq 8
expect_req p ok write:0:4096:4:fua
expect_req p "stamp 4" read:0:4096
expect_req p ok flush
expect_value p trims -eq 2
expect_value p zeroes -eq 3

# Over a slab's border, and up to the end.
expect_req p ok write:4092K:8K:5
expect_req p "stamp 5" read:4092K:8K
expect_req p ok write:30716K:4K:5
expect_req p "stamp 5" read:30716K:4K
expect_req p "31453184+4096 data" extents:30716K:4K

# What one connection was acknowledged, another one sees: req makes a new one
# each time.  Overwritten pages are those of the last write.
expect_req p ok write:0:1M:6
expect_req p ok write:512K:256K:7
expect_req p "stamp 6 x192, stamp 7 x64" scan:0:1M

# Slabs go back when their last page does.
expect_req p ok trim:0:30M
expect_value p pages_present -eq 0
expect 5 is s slabs_used -eq 0
expect_req p zeros read:0:30M
# and those granted again have nothing in them: next to a page written
expect_req p ok write:4096:4096:3
expect_req p zeros read:0:4096
expect_req p zeros read:8K:1M

expect_value p errors -eq 0
stop p

if [ "$front" = nbd ]; then
	# What one request looks at is bounded, whatever it asks for.
	start_server l --memory=160M --slab-size=4M
	start_plugin large "$(server l)" size=128M
	expect_req large "0+67108864 hole" extents:0:128M
	expect_req large "67108864+67108864 hole" extents:64M:64M
	stop large
	exit 0
fi

# Through nbdkit's blocksize filter everything is served.
start_plugin f --filter=blocksize "$(server s)" size=16M minblock=4096
expect_req f ok write:512:1000:3
expect_req f ok check:512:1000:3
expect_req f ok write:100K:64K:4
expect_req f ok write:102500:5000:5
expect_req f ok check:102500:5000:5
expect_req f ok check:102400:100:4
expect_req f ok check:107500:4000:4
expect_req f ok zero:103000:10
expect_req f ok check:103000:10:0
expect_req f ok check:103010:100:5
has "$dir/f.log" blocksize && fail "a request reached the plugin unaligned"
exit 0
