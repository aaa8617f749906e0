#!/bin/bash
# Settings of the kernel: attach changes them, and the last detach puts back what
# was there, also after rswapctl was killed; what an administrator changed
# meanwhile stays.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

reserve=/proc/sys/vm/min_free_kbytes
compaction=/proc/sys/vm/compact_unevictable_allowed
scale=/proc/sys/vm/watermark_scale_factor
cluster=/proc/sys/vm/page-cluster
scheduler=/sys/block/nbd0/queue/scheduler
wanted=$(awk '/^MemTotal/ { kib = int($2 / 20); print kib < 65536 ? kib : 65536 }' \
	/proc/meminfo)

# is FILE VALUE
is() {
	[ "$(cat "$1")" = "$2" ] || fail "$1 is $(cat "$1"), not $2"
}

# What attach is to find.
as_before() {
	echo 10 >$scale
	echo 0 >$cluster
	echo 4096 >$reserve
	echo 1 >$compaction
	echo '[mq-deadline] none' >$scheduler
}

tuned_vm() {
	is $scale 10
	is $cluster 0
	is $reserve "$wanted"
	is $compaction 0
}

tuned() {
	tuned_vm
	is $scheduler none
}

put_back() {
	is $scale 10
	is $cluster 0
	is $reserve 4096
	is $compaction 1
	is $scheduler mq-deadline
}

say "one device"
as_before
attach one || fail "attach: $(cat "$dir/one.log")"
tuned
expect_line "$dir/one.log" "vm.min_free_kbytes: 4096 -> $wanted"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
put_back
expect_line "$dir/one.log" "vm.min_free_kbytes: $wanted -> 4096"
[ ! -e "$RSWAP_RUN_DIR/.settings" ] || fail "the record is still there"

say "two devices: the last one puts back, whichever it is"
as_before
attach one || fail "attach: $(cat "$dir/one.log")"
attach two || fail "attach: $(cat "$dir/two.log")"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
is $reserve "$wanted"
is $compaction 0
is $scheduler mq-deadline
detach two nbd1 || fail "detach: $(cat "$dir/two.log")"
put_back

say "what an administrator sets between two attaches is put back"
as_before
attach one || fail "attach: $(cat "$dir/one.log")"
echo 8192 >$reserve
attach two || fail "attach: $(cat "$dir/two.log")"
is $reserve "$wanted"
expect_line "$dir/two.log" "vm.min_free_kbytes: 8192 -> $wanted"
attach three || fail "attach: $(cat "$dir/three.log")"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
detach three nbd2 || fail "detach: $(cat "$dir/three.log")"
is $reserve "$wanted"
detach two nbd1 || fail "detach: $(cat "$dir/two.log")"
is $reserve 8192
is $compaction 1

say "--tune=no"
as_before
attach one --tune=no || fail "attach: $(cat "$dir/one.log")"
is $reserve 4096
is $compaction 1
is $scheduler "[mq-deadline] none"
expect_line "$dir/one.log" "warning: vm.min_free_kbytes is 4096" "$wanted"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
is $scheduler "[mq-deadline] none"

say "what is better already, and what an administrator changes, stays"
as_before
echo 1000000 >$reserve
attach one || fail "attach: $(cat "$dir/one.log")"
is $reserve 1000000
is $compaction 0
echo 1 >$compaction
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
is $reserve 1000000
is $compaction 1
as_before
attach one || fail "attach: $(cat "$dir/one.log")"
echo 200000 >$reserve
echo bfq >$scheduler
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
is $reserve 200000
is $compaction 1
is $scheduler bfq

say "attach fails"
as_before
echo 'exit 1' | hook swapon before
! attach one || fail "it is attached"
no_hooks
put_back

say "attach is killed"
as_before
hook mkswap before <<'HOOK'
kill -KILL "$RSWAPCTL"
exit 1
HOOK
! attach one || fail "it is attached"
no_hooks
expect 20 no_tools
tuned
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
put_back

# hold_settings / let_settings: as a rswapctl that is stopped while it sets them
hold_settings() {
	rm -f "$dir/held"
	perl -MFcntl=:flock -e '
		open(my $lock, ">>", $ARGV[0]) or die;
		flock($lock, LOCK_EX) or die;
		$| = 1;
		print "held\n";
		sleep' "$RSWAP_RUN_DIR/.settings-lock" >"$dir/held" &
	pid[holder]=$!
	expect 10 test -s "$dir/held"
}

let_settings() {
	kill "${pid[holder]}"
	finish holder
}

# a rswapctl has opened the lock of the settings
waits_at_settings() {
	local process
	for process in $(pgrep -f "^$ctl doctor"); do
		! find "/proc/$process/fd" -lname "$RSWAP_RUN_DIR/.settings-lock" |
			grep -q . || return 0
	done
	return 1
}

say "another rswapctl keeps the lock of the settings"
as_before
hold_settings
[ "$(status_of attach one)" = 1 ] || fail "attach: $(cat "$dir/one.log")"
grep "^rswapctl attach:" "$dir/one.log" >"$dir/why"
expect_one_line "$dir/why" "another rswapctl" "is at work on it" .settings-lock
let_settings
expect_nothing_left "with the lock taken"
attach one || fail "attach: $(cat "$dir/one.log")"
hold_settings
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
expect_line "$dir/one.log" warning "settings stay" .settings-lock
tuned_vm
let_settings
attach one || fail "attach: $(cat "$dir/one.log")"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
put_back

doctor() {
	"$ctl" doctor --tune "$@" >"$dir/said" 2>&1
}

untouched() {
	is $reserve 4096
	is $compaction 1
	is $scale 10
	is $cluster 0
}

say "doctor --tune prints, and sets nothing"
as_before
doctor || fail "exit status $?: $(cat "$dir/said")"
expect_line "$dir/said" warn vm.min_free_kbytes 4096 "sysctl vm.min_free_kbytes=$wanted" \
	"rswapctl attach sets it"
expect_line "$dir/said" warn vm.watermark_scale_factor 10 \
	"-> sysctl vm.watermark_scale_factor=100"
expect_line "$dir/said" warn vm.page-cluster 0 "-> sysctl vm.page-cluster=3"
untouched

say "--apply needs a device, whose detach puts back"
! doctor --apply || fail "nothing is attached: $(cat "$dir/said")"
expect_line "$dir/said" --apply "nothing is attached"
untouched
[ "$(status_of "$ctl" doctor --apply 2>"$dir/said")" = 1 ] || fail "--apply alone"
expect_line "$dir/said" "--apply: allowed with --tune"
attach one || fail "attach: $(cat "$dir/one.log")"
tuned
doctor --apply || fail "exit status $?: $(cat "$dir/said")"
expect_line "$dir/said" "vm.watermark_scale_factor: 10 -> 100"
expect_line "$dir/said" "vm.page-cluster: 0 -> 3"
expect_line "$dir/said" ok vm.page-cluster 3
is $scale 100
is $cluster 3
is $compaction 0
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
put_back
expect_line "$dir/one.log" "vm.page-cluster: 3 -> 0"

say "--apply, and meanwhile the last device goes"
as_before
attach one --tune=no || fail "attach: $(cat "$dir/one.log")"
hold_settings
begin apply doctor --apply
expect 10 waits_at_settings
mv "$RSWAP_RUN_DIR/nbd0" "$dir/nbd0"
let_settings
finish apply
[ "$(cat "$dir/status")" = 1 ] || fail "it is applied: $(cat "$dir/said")"
expect_line "$dir/said" --apply "nothing is attached"
untouched
mv "$dir/nbd0" "$RSWAP_RUN_DIR/nbd0"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"

say "--apply with attach --tune=no, and values that are better"
as_before
echo 300 >$scale
echo 5 >$cluster
attach one --tune=no || fail "attach: $(cat "$dir/one.log")"
doctor --apply || fail "exit status $?: $(cat "$dir/said")"
is $reserve "$wanted"
expect_line "$dir/said" ok vm.page-cluster 5
is $scale 300
is $cluster 5
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"
is $reserve 4096
is $scale 300
is $cluster 5
