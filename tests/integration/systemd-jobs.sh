#!/bin/bash
# What systemd would do with the units: its test mode prints the jobs that a target
# brings about, and the dependencies of all units.  tests/vm has the real thing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
build=${RSWAP_BUILD:-$src/build}

systemd=/lib/systemd/systemd
if [ ! -x $systemd ]; then
	echo "systemd is not installed"
	exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
	echo "systemd-jobs: $*" >&2
	exit 1
}

DESTDIR='' cmake --install "$build" --prefix "$dir/prefix" >"$dir/installed"
units=$dir/prefix/lib/systemd/system
mkdir "$dir/boot"
for unit in kubelet systemd-oomd; do
	printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' \
		>"$dir/boot/$unit.service"
done
printf '[Unit]\nWants=%s\n' \
	"kubelet.service systemd-oomd.service rswap@far.service" \
	>"$dir/boot/boot.target"
chmod -R a+rX "$dir"

# plan TARGET: into $dir/TARGET.  systemd does not do this for root.
plan() {
	local user=()
	[ "$(id -u)" != 0 ] ||
		user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	"${user[@]}" env HOME=/ XDG_RUNTIME_DIR="$dir" SYSTEMD_LOG_LEVEL=warning \
		SYSTEMD_LOG_TARGET=console SYSTEMD_UNIT_PATH="$dir/boot:$units:" \
		$systemd --test --system --no-pager --unit="$1" >"$dir/$1" 2>&1 ||
		fail "systemd --test --unit=$1: $(tail -n 5 "$dir/$1")"
	! grep -i "cycle" "$dir/$1" || fail "$1: an ordering cycle"
}

# job TARGET UNIT: the target starts the unit.
job() {
	grep -q "Action: $2 -> start" "$dir/$1" || fail "$1 does not start $2"
}

# unit_lines TARGET UNIT: what the plan says of the unit.
unit_lines() {
	awk -v unit="-> Unit $2:" '
		/-> Unit / { inside = index($0, unit) }
		/-> By jobs/ { exit }
		inside' "$dir/$1"
}

# says TARGET UNIT "LINE": of the unit; says_not: it has no such line.
says() {
	unit_lines "$1" "$2" | grep -E "^[[:space:]]*$3" >/dev/null ||
		fail "$2 has no \"$3\""
}
says_not() {
	! unit_lines "$1" "$2" | grep -E "^[[:space:]]*$3" || fail "$2 has $3"
}

# The machine goes down: rswap@ is not stopped, and the helper runs last.
for operation in poweroff reboot halt kexec; do
	plan $operation.target
	job $operation.target rswap-shutdown.service
	says $operation.target rswap-shutdown.service "After: umount.target"
	says $operation.target rswap-shutdown.service \
		"Before: systemd-$operation.service"
done

# The machine sleeps, and stays awake if the helper fails.
for operation in suspend hibernate hybrid-sleep suspend-then-hibernate; do
	plan $operation.target
	job $operation.target rswap-sleep@$operation.service
	says $operation.target systemd-$operation.service \
		"Requires: rswap-sleep@$operation.service"
	says $operation.target systemd-$operation.service \
		"After: rswap-sleep@$operation.service"
done

# The machine boots: only these two wait for swap.
plan boot.target
job boot.target rswap@far.service
says boot.target rswap@far.service "Before: kubelet.service"
says boot.target rswap@far.service "Before: systemd-oomd.service"
says boot.target boot.target "After: kubelet.service"
says_not boot.target boot.target "After: rswap@far"
says_not boot.target rswap@far.service \
	"Before: (multi-user|remote-fs|sysinit|basic).target"
says_not boot.target rswap@far.service "Conflicts: shutdown.target"
says boot.target rswap@far.service "Slice: system.slice"
