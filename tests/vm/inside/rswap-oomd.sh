#!/bin/bash
# systemd-oomd beside a device of rswap: it ends what fills the device, and nothing
# of rswap's; and it sees swap that comes after it.
#
#	tests/vm/guest --systemd --memory=1024 --append=psi=1 -- \
#		tests/vm/inside/rswap-oomd.sh
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"
. "$here/systemd-lib.sh"

trap - EXIT # the journal has what the front end said
address=10.77.0.1
instance=rswap@far
results=/run/pagecheck.results

# start_program UNIT MIB [PROPERTY=VALUE...]: more than it has memory for
start_program()
{
	local unit=$1 mib=$2
	shift 2
	{
		printf '[Service]\nMemoryMax=30M\nStandardOutput=truncate:%s.%s\n' \
			"$results" "$unit"
		printf 'ExecStart=%s --size=%sM --passes=0 --seconds=3000\n' \
			"$RSWAP_BUILD/tests/pagecheck" "$mib"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"/run/systemd/system/$unit.service"
	systemctl daemon-reload
	systemctl start "$unit"
}

ended()
{
	is "$1" ActiveState failed || is "$1" ActiveState inactive
}

oomd_knows_swap()
{
	oomctl >/run/oomctl.said
	grep -q '^[[:space:]]*Swap: Used: .* Total: [1-9]' /run/oomctl.said
}

say "installing"
install_units
mkdir -p /etc/rswap
(umask 077 && rswapctl genkey far >/etc/rswap/far.keys)
cp /etc/rswap/far.keys /etc/rswap/memserver.keys
echo "OPTIONS=\"--memory=330M --stock=32 --listen=$address --transport=tcp\"" \
	>/etc/default/rswap-memserver
cat >/etc/rswap/far.conf <<-END
SERVERS="$address"
SIZE=300M
FRONT=$front
OPTIONS="--transport=tcp --psk-file=/etc/rswap/far.keys"
END
systemd-sysusers
systemctl unmask dbus.socket systemd-oomd.socket
systemctl daemon-reload
systemctl start rswap-memserver dbus.socket

say "oomd starts before there is swap"
systemctl start systemd-oomd || die "oomd: $(journal_of systemd-oomd)"
journal_has systemd-oomd "No swap; memory pressure usage will be degraded" ||
	die "oomd is silent on swap: $(journal_of systemd-oomd)"
systemctl start $instance || die "$instance: $(journal_of $instance)"
await 60 oomd_knows_swap || die "oomd does not see swap: $(cat /run/oomctl.said)"
cat /run/oomctl.said

say "it starts after swap"
systemctl restart systemd-oomd
! journalctl --no-pager --output=cat \
	"_SYSTEMD_INVOCATION_ID=$(property systemd-oomd InvocationID)" |
	grep -q "No swap" || die "oomd sees no swap"
await 60 oomd_knows_swap || die "oomd does not see swap: $(cat /run/oomctl.said)"

# Debian has oomd look at the whole machine: it ends what has the most in swap, once
# nine tenths of the swap and of the memory are in use.
say "the device fills up"
start_program keeps 70
start_program fills 265
await 300 swapped_over 271 || die "only $(swapped_mib) MiB are swapped out"
is fills ActiveState active || die "it was ended before memory was short"
front_pid=$(property $instance MainPID)

say "memory fills up"
available_mib=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
start_program hogs $((available_mib - 70)) MemoryMax=infinity MemorySwapMax=0
await 300 ended fills || die "oomd does not end it: $(journal_of systemd-oomd)"
journal_has systemd-oomd \
	"Killed .*fills.service due to memory used .* and swap used" ||
	die "who has ended it? $(journal_of systemd-oomd; systemctl status fills)"
want fills Result=oom-kill
systemctl stop hogs
journal_of systemd-oomd | grep -i killed

say "nothing else has ended"
want $instance ActiveState=active MainPID="$front_pid" NRestarts=0
want rswap-memserver ActiveState=active NRestarts=0
want keeps ActiveState=active
systemctl kill --signal=TERM keeps
await 120 is keeps SubState dead || die "the program does not end"
[ "$(result_value mismatches "$results.keeps")" = 0 ] || die "pages are wrong"
systemctl stop $instance
no_swap || die "/proc/swaps: $(</proc/swaps)"
kernel_log_clean
say "done: systemd-oomd ended what filled the device, and nothing else"
