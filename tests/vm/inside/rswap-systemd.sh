#!/bin/bash
# The units, installed as an administrator would, under a real systemd: the
# memory server notifies that it serves, as a user of its own; an instance of
# rswap@ swaps; to stop it brings the pages back before its front end ends, and where
# memory cannot hold them, the front end serves on; one whose front end dies has
# failed, and leaves no dead device.
#
#	tests/vm/guest --systemd -- tests/vm/inside/rswap-systemd.sh TRANSPORT
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"
. "$here/systemd-lib.sh"

trap - EXIT # the journal has what the plugin said
transport=${1:?rdma or tcp}
address=10.77.0.1
results=/run/pagecheck.results
instance=rswap@far
best=nbd
! modinfo -n ublk_drv >/dev/null 2>&1 || best=ublk

# in_order UNIT PATTERN...: lines of its journal, one after the other
in_order()
{
	local unit=$1 pattern journal
	journal=$(journal_of "$unit")
	shift
	for pattern in "$@"; do
		grep -q -e "$pattern" <<<"$journal" || {
			journal_of "$unit" >&2
			die "$unit: no $pattern there, or not in this order"
		}
		journal=$(sed "0,\#$pattern#d" <<<"$journal")
	done
}

# threads_have PID FIELD VALUE: of their status
threads_have()
{
	local found
	found=$(sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/task"/*/status | sort -u)
	[ "$found" = "$3" ] || die "process $1: $2 is $found, not $3"
}

# A service as any other, that needs more memory than it may have.
start_program()
{
	cat >/run/systemd/system/program.service <<-END
	[Service]
	ExecStart=$RSWAP_BUILD/tests/pagecheck --size=150M --passes=0 --seconds=$1
	StandardOutput=truncate:$results
	MemoryMax=60M
	END
	systemctl daemon-reload
	systemctl start program
	# Before, this may have been set to another value, which counts more.
	systemctl set-property --runtime program MemoryMax=60M
}

say "installing"
install_units
# The device alone: what else RDMA needs is loaded on demand, also for a daemon
# without privileges.
if [ "$transport" = rdma ]; then
	load_modules rdma_rxe
	rdma link add rxe0 type rxe netdev eth0
	await 20 rxe_active || die "rxe0 does not become active"
fi
echo "OPTIONS=\"--memory=544M --listen=$address --transport=$transport --grace=1\"" \
	>/etc/default/rswap-memserver
mkdir -p /etc/rswap
(umask 077 && rswapctl genkey far >/etc/rswap/far.keys)
cp /etc/rswap/far.keys /etc/rswap/memserver.keys
cat >/etc/rswap/far.conf <<-END
SERVERS="$address"
SIZE=512M
OPTIONS="--transport=$transport --psk-file=/etc/rswap/far.keys"
END
# All are installed, so the unit takes the best one by itself.
[ "$front" = "$best" ] || echo "FRONT=$front" >>/etc/rswap/far.conf

say "the memory server notifies that it serves"
systemctl start rswap-memserver || {
	journal_of rswap-memserver >&2
	die "it does not start"
}
want rswap-memserver ActiveState=active SubState=running Type=notify
server=$(property rswap-memserver MainPID)
[ "$(stat -c %u "/proc/$server")" != 0 ] || die "the memory server is root"
[ "$(</proc/"$server"/oom_score_adj)" = -1000 ] ||
	die "its OOM score is $(</proc/"$server"/oom_score_adj)"
threads_have "$server" CapPrm 0000000000000000
threads_have "$server" Seccomp 2

say "an instance swaps"
systemctl start $instance || {
	journal_of $instance >&2
	die "it does not start"
}
want $instance ActiveState=active SubState=running
process=$(property $instance MainPID)
[ "$(<"/proc/$process/comm")" = "$front_program" ] ||
	die "the main process is not $front_program"
threads_have "$process" CapPrm 0000000000000000
grep -q "^$block_device " /proc/swaps || die "/proc/swaps: $(</proc/swaps)"
[ "$front" != nbd ] || [ "$(status_value confined /run/rswap/far/control.sock)" = yes ] ||
	die "it can change any file"
[ "$(status_value servers.0.transport /run/rswap/far/control.sock)" = \
	"$transport" ] || die "not over $transport"
for setting in io_flusher realtime locked oom; do
	[ "$(status_value safety.$setting.holds /run/rswap/far/control.sock)" = yes ] ||
		die "$setting: $(status_value safety.$setting.error \
			/run/rswap/far/control.sock)"
done
rswapctl check || die "rswapctl check is not content"

say "a key comes, and goes, while the memory server serves"
(umask 077 && rswapctl genkey other >/run/other.keys)
! rswapctl ping "$address" --psk-file=/run/other.keys || die "it has no such key"
cat /run/other.keys >>/etc/rswap/memserver.keys
systemctl reload rswap-memserver
await 20 journal_has rswap-memserver "SIGHUP: .* has 2 keys" || die "it has no new key"
rswapctl ping "$address" --psk-file=/run/other.keys || die "the new key is of no use"
cp /etc/rswap/far.keys /etc/rswap/memserver.keys
systemctl reload rswap-memserver
await 20 journal_has rswap-memserver "SIGHUP: .* has 1 key" || die "it has the key"
! rswapctl ping "$address" --psk-file=/run/other.keys || die "it still has the key"

say "a service puts pages out; the instance is stopped meanwhile"
start_program 15
await 60 swapped_over 60 || die "only $(swapped_mib) MiB are swapped out"
systemctl set-property --runtime program MemoryMax=infinity
systemctl stop $instance
want $instance ActiveState=inactive Result=success ExecMainStatus=0
no_swap || die "/proc/swaps: $(</proc/swaps)"
[ ! -e "/proc/$process" ] || die "$front_program is still there"
[ ! -e /run/rswap/far ] || die "its directory is still there"
disconnects=("^disconnect $block_device")
[ "$front" != ublk ] || disconnects=() # the device ends with its front end
in_order $instance "^swapoff $block_device ([1-9][0-9]* MiB to bring back)" \
	"${disconnects[@]}" "^stop $front_program (process $process)" \
	"^far is detached" "^Stopped "
! journal_of $instance | grep -i -e fail -e error -e "no such device" ||
	die "its journal is not clean"
await 90 is program SubState dead || die "the program does not end"
want program Result=success
[ "$(result_value mismatches $results)" = 0 ] || die "pages are wrong"
kernel_log_clean

say "a stop that memory cannot hold is refused, and harms nobody"
systemctl start $instance
process=$(property $instance MainPID)
start_program 3000
await 60 swapped_over 60 || die "only $(swapped_mib) MiB are swapped out"
raise_ballast 100
systemctl stop $instance || true
want $instance ActiveState=failed
journal_has $instance "holds .* MiB, and there are .* MiB for it" ||
	die "it does not say why: $(journal_of $instance)"
swapped_over 60 || die "it brought pages back all the same"
kill -0 "$process" || die "$front_program has ended"
[ "$(status_value pid /run/rswap/far/control.sock)" = "$process" ] ||
	die "$front_program does not serve any more"
drop_ballast
systemctl set-property --runtime program MemoryMax=infinity
rswapctl detach far || die "it cannot be detached where there is memory"
no_swap || die "/proc/swaps: $(</proc/swaps)"
[ ! -e "/proc/$process" ] || die "$front_program is still there"
systemctl stop program # which checks its pages then
want program Result=success
[ "$(result_value mismatches $results)" = 0 ] || die "pages are wrong"
kernel_log_clean

say "an instance whose front end is killed has failed, and starts again"
systemctl start $instance
want $instance ActiveState=active
kill -KILL "$(property $instance MainPID)"
await 60 is $instance ActiveState failed || die "it is $(property \
	$instance ActiveState)"
want $instance Result=signal
if [ "$front" = ublk ]; then
	# Only a restart of the machine ends this swap.
	grep -q "^$block_device.*deleted" /proc/swaps ||
		die "/proc/swaps: $(</proc/swaps)"
	journal_of $instance | grep "stays on until the machine restarts" >/dev/null ||
		die "its journal does not tell of the swap that stays on"
	block_device=/dev/ublkb1
fi
await 10 no_swap || die "/proc/swaps: $(</proc/swaps)"
# the memory server keeps what the front end had for its grace time
await 30 systemctl start $instance || die "it does not start again"
want $instance ActiveState=active SubState=running
systemctl stop $instance
want $instance ActiveState=inactive Result=success

say "the memory server is stopped"
systemctl stop rswap-memserver
want rswap-memserver ActiveState=inactive Result=success ExecMainStatus=0
[ ! -e /run/rswap-memserver ] || die "its directory is still there"
[ ! -e /run/rswap-memserver.keys/keys ] || die "its keys are still there"
[ ! -e "/proc/$server" ] || die "it is still there"
[ "$(systemctl --failed --no-legend --plain | wc -l)" = 0 ] ||
	die "failed: $(systemctl --failed --no-legend --plain)"
say "done: swapped over $transport by systemd's hand"
