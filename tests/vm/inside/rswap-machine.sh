#!/bin/bash
# A machine's life, with the units, under a real systemd: it boots while its
# memory server is away, and attaches when the server comes; what looks at swap
# only once starts after that; the machine sleeps; a memory server that hangs is
# started again.
#
#	tests/vm/guest --systemd -- tests/vm/inside/rswap-machine.sh
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"
. "$here/systemd-lib.sh"

trap - EXIT # the journal has what the front end said
address=10.77.0.1
instance=rswap@far
results=/run/pagecheck.results

# What a boot would start: a target, and in it services that note what they see
# of swap.
make_boot()
{
	local unit
	for unit in kubelet systemd-oomd other; do
		cat >"/run/systemd/system/$unit.service" <<-END
		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=/bin/cp /proc/swaps /run/$unit.saw
		END
	done
	cat >/run/systemd/system/boot.target <<-END
	[Unit]
	Wants=kubelet.service systemd-oomd.service other.service $instance.service
	END
	systemctl daemon-reload
}

attached()
{
	is $instance ActiveState active
}

set_sleep()
{
	sed -i '/^SLEEP=/d' /etc/rswap/far.conf
	[ -z "$1" ] || echo "SLEEP=$1" >>/etc/rswap/far.conf
}

# The kernel freezes all processes, waits for five seconds and comes back
# (pm_test).  It can't go on to devices: the driver of the guest's root file system
# knows no suspend.
suspend()
{
	systemctl start systemd-suspend
}

say "installing"
install_units
mkdir -p /etc/rswap
(umask 077 && rswapctl genkey far >/etc/rswap/far.keys)
cp /etc/rswap/far.keys /etc/rswap/memserver.keys
echo "OPTIONS=\"--memory=544M --listen=$address --transport=tcp --grace=60\"" \
	>/etc/default/rswap-memserver
cat >/etc/rswap/far.conf <<-END
SERVERS="$address"
SIZE=512M
FRONT=$front
OPTIONS="--transport=tcp --psk-file=/etc/rswap/far.keys"
END
make_boot

say "it boots without its memory server"
systemctl start boot.target
want boot.target ActiveState=active
want kubelet ActiveState=active
want other ActiveState=active
! attached || die "attached to what?"
! is $instance ActiveState failed || die "it has given up"

say "the server comes"
systemctl start rswap-memserver
await 60 attached || die "it does not attach: $(journal_of $instance)"
grep -q '^/dev/nbd0 ' /proc/swaps || die "/proc/swaps: $(</proc/swaps)"
[ -z "$(systemctl show --property=Conflicts --value dev-nbd0.swap)" ] ||
	die "systemd would run swapoff when the machine goes down"
[ -z "$(systemctl show --property=Conflicts --value $instance)" ] ||
	die "systemd would stop $instance when the machine goes down"

say "it boots with its memory server"
systemctl stop $instance kubelet systemd-oomd other boot.target
no_swap || die "/proc/swaps: $(</proc/swaps)"
systemctl start boot.target
want $instance ActiveState=active
for unit in kubelet systemd-oomd; do
	grep -q nbd0 /run/$unit.saw || die "$unit was started before swap"
done

say "it boots while its memory server is silent"
systemctl stop $instance kubelet systemd-oomd other boot.target
cp /etc/rswap/far.conf /run/far.conf
sed -i 's/^OPTIONS="/&--timeout=10 /' /etc/rswap/far.conf
server=$(property rswap-memserver MainPID)
kill -STOP "$server"
systemctl start --no-block boot.target
await 20 is other ActiveState active || die "it waits for a server"
await 60 is kubelet ActiveState active || die "kubelet waits for more than one attempt"
! attached || die "attached to what?"
kill -CONT "$server"
await 60 attached || die "it does not attach: $(journal_of $instance)"
cp /run/far.conf /etc/rswap/far.conf

say "it suspends: detached before, attached again afterwards"
cat >/run/systemd/system/program.service <<-END
[Service]
ExecStart=$RSWAP_BUILD/tests/pagecheck --size=150M --passes=0 --seconds=3000
StandardOutput=truncate:$results
MemoryMax=60M
END
systemctl daemon-reload
systemctl start program
await 60 swapped_over 60 || die "only $(swapped_mib) MiB are swapped out"
systemctl set-property --runtime program MemoryMax=infinity
echo freezer >/sys/power/pm_test
before=$(property $instance MainPID)
suspend || die "it does not sleep: $(journal_of rswap-sleep@suspend)"
await 60 attached || die "it is not attached again"
[ "$(property $instance MainPID)" != "$before" ] || die "it was not detached"

say "it does not hibernate to the device, which is detached before"
before=$(property $instance MainPID)
systemctl start systemd-hibernate && die "it hibernates, and no other swap is there"
await 60 attached || die "it is not attached again"
[ "$(property $instance MainPID)" != "$before" ] || die "it was not detached"
[ "$(</sys/power/resume)" = 0:0 ] ||
	die "the kernel was given a device to hibernate to: $(</sys/power/resume)"

kept()
{
	[ "$(property $instance MainPID)" = "$before" ] || die "it was detached"
	attached || die "the front end has ended"
}

say "it suspends with swap on: SLEEP=keep"
set_sleep keep
systemctl set-property --runtime program MemoryMax=60M
await 60 swapped_over 60 || die "only $(swapped_mib) MiB are swapped out"
before=$(property $instance MainPID)
systemctl kill --signal=STOP program
suspend || die "it does not sleep: $(journal_of rswap-sleep@suspend)"
kept
systemctl kill --signal=CONT program

# The kernel may freeze the front end before a program that waits for a page, and
# then gives up after 20 seconds.
say "it sleeps or stays awake while a program swaps, and goes on"
suspend || say "it stays awake"
kept

say "it stays awake where it must"
systemctl start systemd-hibernate && die "it hibernates with SLEEP=keep"
journal_has rswap-sleep@hibernate "stays awake: far: SLEEP=keep" ||
	die "no reason: $(journal_of rswap-sleep@hibernate)"
set_sleep refuse
suspend && die "it sleeps with SLEEP=refuse"
journal_has rswap-sleep@suspend "stays awake: far: SLEEP=refuse" ||
	die "no reason: $(journal_of rswap-sleep@suspend)"
set_sleep ''
# More than there is memory for.
mount -t tmpfs -o size=90% full /mnt
head -c "$(awk '/^MemAvailable/ { print $2 - 40000 }' /proc/meminfo)K" \
	/dev/zero >/mnt/full
suspend && die "it sleeps, and cannot be detached"
journal_has rswap-sleep@suspend "stays awake: far cannot be detached" ||
	die "no reason: $(journal_of rswap-sleep@suspend)"
attached || die "the front end has ended"
umount /mnt
systemctl kill --signal=TERM program
await 60 is program SubState dead || die "the program does not end"
[ "$(result_value mismatches $results)" = 0 ] || die "pages are wrong"
kernel_log_clean
systemctl stop $instance

say "a memory server that hangs is started again"
mkdir -p /run/systemd/system/rswap-memserver.service.d
cat >/run/systemd/system/rswap-memserver.service.d/test.conf <<-END
[Service]
WatchdogSec=17
END
sed -i 's/--grace=60/--grace=1/' /etc/default/rswap-memserver
systemctl daemon-reload
systemctl restart rswap-memserver
server=$(property rswap-memserver MainPID)
kill -STOP "$server"
# The process first: while systemd ends the old one the unit is active for a moment
# and has none.
started_again()
{
	case $(property rswap-memserver MainPID) in
	0 | "$server") return 1 ;;
	esac
	is rswap-memserver ActiveState active
}
await 120 started_again || die "it is not: $(journal_of rswap-memserver)"
[ "$(property rswap-memserver NRestarts)" -ge 1 ] || die "no restart"
journal_has rswap-memserver "[Ww]atchdog timeout" ||
	die "no word of the watchdog"
kernel_log_clean
say "done: booted, slept, and started again"
