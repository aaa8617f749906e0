#!/bin/bash
# How much the plugin locks in memory for a device of 64 GiB with 16 lanes: it
# must be under 56 MB, and 4 bytes a page more where it keeps checksums, 6 and the
# lanes' memory where it seals pages; rswap-nbd has less than 24 MB beside its
# tables; and nbdkit's own --swap works with it.
. "$(dirname "$0")/functions.sh"

[ -z "$sanitizer" ] || skip "a sanitizer's memory cannot be locked"
start_server s --memory=65G --stock=0
start_plugin p "$(server s)" size=64G lanes=16 encrypt=off checksum=off
[ "$(value p safety.locked.holds)" = yes ] || skip "$(value p safety.locked.error)"

locked_kib() { # NAME
	awk '$1 == "VmLck:" { print $2 }' "/proc/${pid[$1]}/status"
}

before=$(locked_kib p)
shadow p --seconds=2 --size=64M --max=128K --connections=2 --trim-at-end
during=$(locked_kib p)
say "locked: $before kB at start, $during kB after requests"
[ "$before" -gt 16384 ] || fail "less than the page map alone"
[ "$during" -lt $((56000000 / 1024)) ] || fail "not under 56 MB"
# all that it has written to is locked: heap, tables, stacks of its threads, and
# nbdkit's own variables; but for what the kernel drops instead of swapping it
# ("dp": the state of getrandom(2) in the vDSO, since glibc 2.41 and Linux 6.11),
# which cannot be locked, and never goes to a swap device
start_shadow load p --size=64M --max=128K --connections=2
expect_more 10 p writes 1000
loose=$(awk '/^[0-9a-f]+-/ { mapping = $0 }
	$1 == "Anonymous:" { written = $2 }
	$1 == "Locked:" { loose = written - $2 }
	$1 == "VmFlags:" && loose > 0 && !/ dp( |$)/ {
		print loose " kB of " mapping ": " $0
	}' "/proc/${pid[p]}/smaps")
finish_shadow load >/dev/null
[ -z "$loose" ] || fail "what it writes to is not locked: $loose"
# and it tells so
expect_value p locked_bytes -ge $((before * 1024))
expect_value p locked_bytes -lt 56000000
[ "$(value p locked_bytes)" = $((during * 1024)) ] || fail "locked_bytes"
stop p

start_plugin p "$(server s)" size=64G lanes=16 encrypt=off
sums=$(($(locked_kib p) - before))
say "with checksums: $sums kB more"
[ "$sums" -ge $((64 << 10)) ] && [ "$sums" -lt $((65 << 10)) ] ||
	fail "not 4 bytes a page"
stop p

start_plugin p "$(server s)" size=64G lanes=16
sealed=$(($(locked_kib p) - before))
say "with sealed pages: $sealed kB more"
scratch=$((17 * 16 * 4112 / 1024))
[ "$sealed" -ge $(((96 << 10) + scratch)) ] &&
	[ "$sealed" -lt $(((97 << 10) + scratch)) ] ||
	fail "not 6 bytes a page, and $scratch kB for the lanes"
stop p

if [ "$front" = nbd ]; then
	# what it has beside its tables, which have 120 MiB (docs/sizing.md), as
	# it is started on a machine with two processors
	(umask 077 && echo "node:$(printf '%032x' 1 2)" >"$dir/keys")
	start_server k --memory=65G --stock=0 --psk-file="$dir/keys"
	start_plugin p "$(server k)" size=64G lanes=42 psk-file="$dir/keys"
	beside=$(($(locked_kib p) - (120 << 10)))
	say "beside the tables: $beside kB"
	# the libraries of Debian 13 take a megabyte more than those of 12
	[ "$beside" -lt $((24000000 / 1024)) ] || fail "not under 24 MB"
	exit 0
fi
start_plugin p --swap "$(server s)" size=1G lanes=4
[ "$(locked_kib p)" -gt 1024 ] || fail "nothing is locked with --swap"
! grep -q "^THP_enabled:[[:space:]]*1" "/proc/${pid[p]}/status" ||
	fail "the kernel may still copy its tables into huge pages"
shadow p --seconds=1 --size=64M --max=128K --connections=2
expect_value p errors -eq 0
