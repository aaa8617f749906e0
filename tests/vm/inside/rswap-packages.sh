#!/bin/bash
# A machine of its own on which the packages are installed as README says: one line
# for the memory server, one for the swap, enabled; and after a restart swap is
# there, and figures.  tests/packages makes the machine.
#
#	tests/vm/guest --image=FILE -- tests/vm/inside/rswap-packages.sh
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/systemd-lib.sh"

stage=/var/lib/stage
key=--psk-file=/etc/rswap/node.keys
results=/run/pagecheck.results

# answers PORT PATTERN: what the metrics have
answers()
{
	local figures
	exec 5<>"/dev/tcp/127.0.0.1/$1"
	printf 'GET /metrics HTTP/1.0\r\n\r\n' >&5
	figures=$(cat <&5)
	exec 5>&-
	grep -q "^$2" <<<"$figures" || die "no $2 at $1: $figures"
}

swap_is_on()
{
	grep -qE '^/dev/(nbd|ublkb)[0-9]' /proc/swaps
}

# No swap unit ends with the machine, whatever names udev has for the device.
stays_on()
{
	local unit units
	units=$(systemctl list-units --all --type=swap --plain --no-legend | cut -d' ' -f1)
	[ -n "$units" ] || die "systemd has no swap unit"
	for unit in $units; do
		[ -z "$(property "$unit" Conflicts)" ] ||
			die "systemd would run swapoff by $unit when the machine goes down"
	done
}

works()
{
	await 300 swap_is_on || die "no swap: $(journal_of rswap@far)"
	udevadm settle
	stays_on
	want rswap@far ActiveState=active
	want rswap-memserver ActiveState=active
	answers 10919 rswap_memserver_
	answers 10920 rswap_pages
	rswapctl status
	rswapctl check ||
		die "check finds something: $(journal_of rswap@far; dmesg | tail -n 30)"
	systemd-run --quiet --wait --pipe -p MemoryMax=40M -- \
		"$RSWAP_BUILD/tests/pagecheck" --size=80M --random=500 \
		>"$results"
	[ "$(result_value pswpout $results)" -gt 5000 ] ||
		die "only $(result_value pswpout $results) pages were swapped out"
	[ "$(result_value mismatches $results)" = 0 ] || die "pages are wrong"
	kernel_log_clean
}

install()
{
	say "apt install"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
		--no-install-recommends /root/packages/*.deb >/run/apt.log 2>&1 ||
		die "$(tail -n 20 /run/apt.log)"
	say "keys, a line for each, and enable"
	(
		mkdir -p /etc/rswap && umask 077
		rswapctl genkey node >/etc/rswap/node.keys
		cp /etc/rswap/node.keys /etc/rswap/memserver.keys
	)
	echo 'OPTIONS="--memory=300M --listen=10.77.0.1 --transport=tcp --metrics=10919"' \
		>/etc/default/rswap-memserver
	# Both are on this one machine: when it goes down the memory server would
	# wait ten minutes for pages that nobody moves any more.
	mkdir -p /etc/systemd/system/rswap-memserver.service.d
	printf '[Service]\nTimeoutStopSec=10\n' \
		>/etc/systemd/system/rswap-memserver.service.d/test.conf
	systemctl daemon-reload
	systemctl enable --now rswap-memserver
	printf 'SERVERS="10.77.0.1"\nSIZE=256M\nOPTIONS="%s --metrics=10920"\n' \
		$key >/etc/rswap/far.conf
	systemctl daemon-reload
	systemctl enable --now rswap@far
}

if [ ! -e $stage ]; then
	install
	works
	say "restart"
	touch $stage /run/guest/again
	systemctl reboot
	exec sleep infinity
fi
say "it has restarted"
works
say "remove"
DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq 'rswap-*' >/run/apt.log 2>&1 ||
	die "$(tail -n 20 /run/apt.log)"
! swap_is_on || die "swap is on: $(</proc/swaps)"
[ ! -e /usr/sbin/rswapctl ] || die "rswapctl is there"
! pgrep -x rswap-memserver || die "the memory server runs on"
say "done: installed, restarted, removed"
