#!/bin/bash
# docs/quickstart.md, from the network to the removal: each command runs as it stands
# there, with the kernel's swap and a real systemd.  The network card is a dummy;
# with soft-RoCE on it the pages go by RDMA.
#
#	tests/vm/guest --systemd -- tests/vm/inside/rswap-docs.sh
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/systemd-lib.sh"
. "$here/../../doc-commands.bash"
. "$here/follow-lib.sh"

page=$RSWAP_SRC/docs/quickstart.md
# shellcheck disable=SC2034 # doc-commands.bash
left_out=(
	# The guest has no network that leads to Debian, and what it has of
	# rdma-core is this machine's.
	"apt install rdma-core ibverbs-providers"
	"apt purge rswap-nbd rswap-tools"
	"apt purge rswap-memserver rswap-tools"
	# No kernel emulates InfiniBand, so there is no such interface.
	"ip link set ib0 up && ip address add 10.0.0.1/24 dev ib0"
)

run_command()
{
	follow_command "$1"
}

# set_up HEADING: that network, on a new card
set_up()
{
	local address
	say "--- $1"
	ip link add eth2 type dummy
	run_commands "$page" "$1"
	for address in 10.0.0.1/24 10.0.0.2/24; do
		ip -o address show dev eth2 up | grep -qF " $address " ||
			die "eth2 is not up with $address: $(ip address show dev eth2)"
	done
}

# follow TRANSPORT: the sections behind the network, up to the removal
follow()
{
	local heading file
	# shellcheck disable=SC2034 # follow-lib.sh
	transport=$1
	for heading in Keys "On store" "On node" "Removing it"; do
		run_commands "$page" "$heading"
	done
	for file in /etc/rswap/node*.keys; do
		grep -qxFf "$file" /etc/rswap/memserver.keys ||
			die "memserver.keys lacks the key of $file"
	done
	rm -rf /etc/rswap /etc/default/rswap-memserver
	systemctl daemon-reload
}

# with_mtu BYTES WORDS: then doctor says so of the card
with_mtu()
{
	ip link set eth2 mtu "$1"
	run_as_it_stands "rswapctl doctor --role=server"
	must_say "eth2 has MTU $1$2"
}

# What the page says of packets.
check_packets()
{
	local said_of_mtu="With an MTU of 1500 a page goes in four packets of 1024"
	said_of_mtu+=" bytes; from 4192 on in one."
	tr '\n' ' ' <"$page" | grep -qF "$said_of_mtu" ||
		die "the page does not say: $said_of_mtu"
	with_mtu 1500 ", so RDMA sends 1024 bytes a packet, and a page in 4"
	with_mtu 4191 ", so RDMA sends 2048 bytes a packet, and a page in 2"
	with_mtu 4192 ": a page fits a packet"
}

say "installing"
install_units
load_modules dummy
be_both_machines

say "--- InfiniBand"
run_commands "$page" InfiniBand
set_up "Plain Ethernet"
follow tcp
ip link delete eth2
set_up RoCE
run_as_it_stands "$(doc_phrase "$page" "rdma link add")"
await 20 rxe_active || die "rxe0 does not become active"
check_packets
ip link set eth2 mtu 9000
follow rdma
all_left_out_seen
[ "$ran" -ge 40 ] || die "only $ran commands: the page is not understood"
kernel_log_clean
say "done: $ran commands of quickstart.md"
