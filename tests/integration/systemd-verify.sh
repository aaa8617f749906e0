#!/bin/bash
# The units, installed into a prefix, are what systemd expects; it looks also
# whether the programs are there.  And they shut in what they start as far as
# they say.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
build=${RSWAP_BUILD:-$src/build}

if ! command -v systemd-analyze >/dev/null; then
	echo "systemd-analyze is not installed"
	exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

DESTDIR='' cmake --install "$build" --prefix "$dir/prefix" >"$dir/installed"
units=$dir/prefix/lib/systemd/system
# instances: some specifiers have no value in a template
mv "$units/rswap@.service" "$units/rswap@test.service"
mv "$units/rswap-sleep@.service" "$units/rswap-sleep@suspend.service"

# Whatever it says of these units is a fault, also what it takes for a warning.
status=0
systemd-analyze --man=no verify "$units"/*.service >"$dir/said" 2>&1 ||
	status=$?
grep -F "$dir" "$dir/said" && exit 1
if [ "$status" != 0 ]; then
	cat "$dir/said"
	exit 1
fi

# starts_with COMMAND-LINE UNIT: whether it does with this command line of the kernel
starts_with() {
	local condition
	condition=$(grep '^ConditionKernelCommandLine=' "$units/$2") || return 2
	SYSTEMD_PROC_CMDLINE=$1 systemd-analyze condition "$condition" >"$dir/said" 2>&1
}
for unit in rswap-memserver.service rswap@test.service; do
	if ! starts_with "quiet rswap=1 notrswap=0" "$unit"; then
		echo "$unit does not start: $(cat "$dir/said")"
		exit 1
	fi
	if starts_with "quiet rswap=0" "$unit"; then
		echo "$unit starts with rswap=0"
		exit 1
	fi
done

# Before sleep detach runs in another unit, and needs the same devices, but for RDMA's,
# which the front end opens.
devices_of() { # UNIT
	sed -n 's/^DeviceAllow=//p' "$units/$1" | grep -v infiniband | sort
}
diff <(devices_of rswap@test.service) <(devices_of rswap-sleep@suspend.service) || {
	echo "the devices of rswap@ (<) and rswap-sleep@ (>) differ"
	exit 1
}

# exposure UNIT TENTHS: what systemd takes for exposed, 0 to 100
exposure() {
	systemd-analyze security --offline=yes --no-pager --threshold="$2" \
		"$units/$1" >"$dir/said" 2>&1 && return
	cat "$dir/said"
	echo "$1: more exposed than $2 tenths"
	exit 1
}
exposure rswap-memserver.service 17
exposure rswap@test.service 48
exposure rswap-shutdown.service 33
exposure rswap-sleep@suspend.service 43
