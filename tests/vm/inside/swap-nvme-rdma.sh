#!/bin/bash
# Swap of a whole guest to the other guest's memory with the kernel's own
# NVMe over RDMA: no rswap in it, the figure to compare rswap with.
#
#	tests/vm/pair --server='tests/vm/inside/swap-nvme-rdma.sh server' \
#		--compute='tests/vm/inside/swap-nvme-rdma.sh compute [SIZE [LIMIT]]'
#
# Without a LIMIT, what limits the program is the guest's memory.
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

server=10.77.0.1
subsystem=/sys/kernel/config/nvmet/subsystems/swap
port=/sys/kernel/config/nvmet/ports/1

export_ramdisk()
{
	load_modules nvmet nvmet_rdma
	modprobe brd rd_nr=1 rd_size=$((2 << 20))	# in KiB
	mkdir -p "$subsystem/namespaces/1" "$port"
	echo 1 >"$subsystem/attr_allow_any_host"
	echo /dev/ram0 >"$subsystem/namespaces/1/device_path"
	echo 1 >"$subsystem/namespaces/1/enable"
	echo rdma >"$port/addr_trtype"
	echo ipv4 >"$port/addr_adrfam"
	echo "$server" >"$port/addr_traddr"
	echo 4420 >"$port/addr_trsvcid"
	ln -s "$subsystem" "$port/subsystems/swap"
}

serve()
{
	export_ramdisk
	touch /share/server.ready
	sleep infinity
}

# What nvme-cli's connect does.
connect()
{
	load_modules nvme_rdma
	echo "transport=rdma,traddr=$server,trsvcid=4420,nqn=swap" \
		>/dev/nvme-fabrics
	await 20 test -b /dev/nvme0n1 || die "there is no /dev/nvme0n1"
}

# The root of the hierarchy has no limit but the guest's memory.
run_limited()
{
	local limit=$1
	shift
	if [ -z "$limit" ]; then
		"$@"
	else
		make_cgroup limited "$limit"
		run_in_cgroup limited "$@"
	fi
}

swap()
{
	connect
	mkswap /dev/nvme0n1 >/dev/null
	swapon --discard=pages /dev/nvme0n1
	run_limited "${2:-}" "$RSWAP_BUILD/tests/pagecheck" \
		--size="${1:-300M}" --random=20000 --progress
	swapoff /dev/nvme0n1
	echo 1 >/sys/class/nvme/nvme0/delete_controller
	kernel_log_clean
}

rxe_up
case ${1:-} in
server) serve ;;
compute) swap "${@:2}" ;;
*) die "server or compute?" ;;
esac
