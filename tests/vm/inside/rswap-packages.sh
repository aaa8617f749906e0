#!/bin/bash
# A machine of its own on which the packages are installed as README says: one line
# for the memory server, one for the swap, enabled.  After a restart swap is there,
# and figures.  After another one the memory server is away: the machine boots all
# the same, and swaps when the server comes.  The packages are installed once more while
# swap is on, as an upgrade is; they stay where memory cannot hold what is swapped out;
# and at last they are removed and purged.  tests/packages makes the machine, and reads what apt and the consoles say.
#
#	tests/vm/guest --image=FILE -- tests/vm/inside/rswap-packages.sh
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/systemd-lib.sh"

stage=/var/lib/stage # how many boots are over
users=/var/lib/users # as they were before
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

# From systemd 255 on the unit says that the final kill spares its front end; a
# systemd before that knows no such property, and shows none.
spares_the_front_end()
{
	local version value=
	version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
	[ -n "$version" ] || die "systemctl does not say its version"
	[ "$version" -lt 255 ] || value=yes
	want rswap@far SurviveFinalKillSignal=$value
}

works()
{
	await 300 swap_is_on || die "no swap: $(journal_of rswap@far)"
	udevadm settle
	stays_on
	want rswap@far ActiveState=active
	want rswap-memserver ActiveState=active
	spares_the_front_end
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

# apt LOG WORD...: what it says is for the host to read
apt()
{
	local log=/run/guest/apt-$1.log
	shift
	DEBIAN_FRONTEND=noninteractive apt-get -y -qq "$@" >"$log" 2>&1 ||
		die "apt-get $*: $(tail -n 20 "$log")"
}

# Without the group that Debian's libibverbs1 makes.
users()
{
	sort /etc/passwd /etc/group | grep -v '^rdma:'
}

install()
{
	users >$users
	say "apt install"
	apt install install --no-install-recommends /var/cache/packages/*.deb
	say "keys, a line for each, and enable"
	(
		umask 077 && mkdir -p /etc/rswap
		rswapctl genkey node >/etc/rswap/node.keys
		cp /etc/rswap/node.keys /etc/rswap/memserver.keys
	)
	echo 'OPTIONS="--memory=544M --listen=10.77.0.1 --transport=tcp --metrics=10919"' \
		>/etc/default/rswap-memserver
	# Both are on this one machine: when it goes down the memory server would
	# wait ten minutes for pages that nobody moves any more.
	mkdir -p /etc/systemd/system/rswap-memserver.service.d
	printf '[Service]\nTimeoutStopSec=10\n' \
		>/etc/systemd/system/rswap-memserver.service.d/test.conf
	systemctl daemon-reload
	systemctl enable --now rswap-memserver
	printf 'SERVERS="10.77.0.1"\nSIZE=512M\nOPTIONS="%s --metrics=10920"\n' \
		$key >/etc/rswap/far.conf
	systemctl daemon-reload
	systemctl enable --now rswap@far
}

restart()
{
	say "restart"
	echo "$1" >$stage
	touch /run/guest/again
	systemctl reboot
	exec sleep infinity
}

# Logins, and all that a boot starts, while rswap@far is at work or waits for its
# next attempt.
boots_without_server()
{
	local unit
	for unit in systemd-user-sessions.service getty.target multi-user.target; do
		await 300 is $unit ActiveState active ||
			die "$unit is $(property $unit ActiveState)"
	done
	await 300 journal_has rswap@far "10.77.0.1" ||
		die "no attempt: $(journal_of rswap@far)"
	! swap_is_on || die "swap is on: $(</proc/swaps)"
	want rswap-memserver ActiveState=inactive
	case $(property rswap@far ActiveState) in
	activating | deactivating) ;;
	*) want rswap@far ActiveState=activating ;;
	esac
}

processes()
{
	pgrep -x rswap-nbd
	pgrep -x rswap-memserver
}

# What runs has the pages of programs, and of other machines.
upgrade_leaves_what_runs()
{
	local before
	before=$(processes)
	apt upgrade install --reinstall --no-install-recommends \
		/var/cache/packages/*.deb
	[ "$(processes)" = "$before" ] || die "it ended what ran"
	works
}

# start_program: 150 MiB in 60, until it is stopped; then it looks at its pages
start_program()
{
	cat >/run/systemd/system/program.service <<-END
	[Service]
	ExecStart=$RSWAP_BUILD/tests/pagecheck --size=150M --passes=0 --seconds=3000
	StandardOutput=truncate:$results
	MemoryMax=60M
	END
	systemctl daemon-reload
	systemctl start program
}

stays_where_memory_is_full()
{
	local before block_device
	before=$(processes)
	block_device=$(awk '/^\/dev\/(nbd|ublkb)/ { print $1 }' /proc/swaps)
	start_program
	await 60 swapped_over 60 || die "only $(swapped_mib) MiB are swapped out"
	raise_ballast 100
	! DEBIAN_FRONTEND=noninteractive apt-get -y -qq remove rswap-nbd rswap-tools \
		>/run/refused.log 2>&1 || die "removed: $(</run/refused.log)"
	[ -x /usr/sbin/rswapctl ] || die "rswapctl is gone: $(</run/refused.log)"
	grep -q "holds .* MiB, and there are .* MiB for it" /run/refused.log ||
		die "it does not say why: $(</run/refused.log)"
	[ "$(processes)" = "$before" ] || die "it ended what ran"
	swapped_over 60 || die "it brought pages back all the same"
	drop_ballast
	systemctl set-property --runtime program MemoryMax=infinity
	systemctl stop program
	want program Result=success
	[ "$(result_value mismatches $results)" = 0 ] || die "pages are wrong"
	apt again install --no-install-recommends /var/cache/packages/*.deb
	rswapctl detach far
	systemctl start rswap@far
	works
}

# What docs/quickstart.md says that a purge leaves: paths, as the shell's patterns.
documented()
{
	sed -n '/^## Removing/,$s/^| `\(\/[^`]*\)`.*/\1/p' \
		"$RSWAP_SRC/docs/quickstart.md"
}

# Paths with our name, but for what apt, its logs and the journal remember, and
# what is in a directory that is one of them.
left()
{
	find /boot /etc /opt /srv /usr /var -xdev \( -path /var/cache -o \
		-path /var/log -o -path /var/lib/apt -o -path /var/lib/dpkg -o \
		-path "$RSWAP_SRC" \) -prune -o -name '*rswap*' -print -prune
}

leaves_what_is_documented()
{
	local path pattern table known
	mapfile -t table < <(documented)
	[ ${#table[@]} -ge 3 ] || die "docs/quickstart.md does not say what is left"
	for pattern in "${table[@]}"; do
		compgen -G "${pattern%/}" >/dev/null || die "$pattern is not left"
	done
	while read -r path; do
		known=
		for pattern in "${table[@]}"; do
			# shellcheck disable=SC2053
			[[ $path != ${pattern%/} ]] || known=yes
		done
		[ "$known" ] || die "purge leaves $path"
	done < <(left)
	diff $users <(users) || die "users have changed (> is new)"
}

# What ran has ended, and what the administrator wrote is there.
is_removed()
{
	! swap_is_on || die "swap is on: $(</proc/swaps)"
	[ ! -e /usr/sbin/rswapctl ] || die "rswapctl is there"
	! pgrep -x rswap-memserver || die "the memory server runs on"
	! pgrep -x rswap-nbd || die "the front end runs on"
	[ -s /etc/rswap/far.conf ] && [ -s /etc/rswap/node.keys ] ||
		die "/etc/rswap has lost something: $(ls /etc/rswap)"
}

case $(cat $stage 2>/dev/null) in
'')
	install
	works
	restart 1
	;;
1)
	say "it has restarted"
	works
	systemctl disable rswap-memserver
	restart 2
	;;
esac
say "it has restarted while its memory server is away"
boots_without_server
say "the memory server comes"
systemctl enable --now rswap-memserver
works
say "the packages are installed once more while swap is on"
upgrade_leaves_what_runs
say "removal while memory cannot hold what is swapped out"
stays_where_memory_is_full
say "remove, with swap on; the memory server last, as this machine is its client"
apt remove remove rswap-nbd rswap-tools
apt remove-server remove 'rswap-*'
is_removed
rm -r /etc/systemd/system/rswap-memserver.service.d # the test's
say "purge"
apt purge purge 'rswap-*'
is_removed
leaves_what_is_documented
say "done: installed, restarted, restarted without its server, removed, purged"
