#!/bin/bash
# The guest that tests/vm/power.sh powers off: 512 MB of memory, a systemd, and
# more in tmpfs than memory holds, where there is swap.
#
#	rswap-power.sh TRANSPORT	with swap, on the server at 10.77.0.1
#	rswap-power.sh none		without
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"
. "$here/systemd-lib.sh"

trap - EXIT # the journal has what the front end said
transport=${1:?rdma, tcp or none}

attach_far()
{
	install_units --strip
	[ "$transport" != rdma ] || rxe_up
	mkdir -p /etc/rswap
	install -m 600 $psk_file /etc/rswap/far.keys
	cat >/etc/rswap/far.conf <<-END
	SERVERS=10.77.0.1
	SIZE=1G
	FRONT=$front
	OPTIONS="--transport=$transport --psk-file=/etc/rswap/far.keys"
	END
	systemctl start rswap@far || {
		journal_of rswap@far >&2
		die "rswap@far does not start"
	}
}

# A service that takes its time to end, and says so when it has ended by itself.
start_late()
{
	cat >/run/late.sh <<-'END'
	trap 'sleep 3; echo ended >/run/guest/late; exit 0' TERM
	while :; do sleep 0.2; done
	END
	cat >/run/systemd/system/late.service <<-'END'
	[Unit]
	RequiresMountsFor=/run/guest
	[Service]
	ExecStart=/bin/bash /run/late.sh
	END
	systemctl daemon-reload
	systemctl start late
}

# systemctl stop where memory cannot hold what comes back: swap stays on, and the
# front end serves on.  The machine goes down well with the unit failed.
stop_in_vain()
{
	local process since=$SECONDS
	process=$(property rswap@far MainPID)
	systemctl stop rswap@far || true
	echo "a stop that is refused: $((SECONDS - since)) s"
	want rswap@far ActiveState=failed
	grep -q '^/dev' /proc/swaps || die "swap is off"
	kill -0 "$process" || die "the front end has ended"
	journal_has rswap@far "holds .* MiB, and there are .* MiB for it" ||
		die "it does not say why: $(journal_of rswap@far)"
	[ "$(tr -d x </mnt/full/pages | wc -c)" = 0 ] || die "pages are wrong"
}

# fill FILE MIB
fill()
{
	head -c "$2M" /dev/zero | tr '\0' x >"$1"
}

rm -f /run/guest/{late,down}
start_late
mkdir -p /mnt/full
mount -t tmpfs -o size=400M full /mnt/full
mount -o remount,size=400M /dev/shm
if [ "$transport" = none ]; then
	fill /mnt/full/pages 60
	fill /dev/shm/pages 60
else
	attach_far
	# systemd unmounts the one, and not the other.
	fill /mnt/full/pages 300
	fill /dev/shm/pages 300
	awk '/^.dev/ { print "swapped out: " int($4 / 1024) " MiB" }' /proc/swaps
	awk '/^.dev/ { exit $4 < 150000 }' /proc/swaps ||
		die "little is swapped out: $(</proc/swaps)"
	rswapctl detach far && die "there is memory for what is swapped out"
	[ "$front" != nbdkit ] || stop_in_vain
	kernel_log_clean
fi
say "power-off"
echo 0 >/run/guest/status
touch /run/guest/down
systemctl --no-block poweroff
exec sleep infinity
