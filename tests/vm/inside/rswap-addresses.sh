#!/bin/bash
# A name with several addresses, over RDMA: the first one is silent, or refuses,
# or is on an interface without RDMA, and the plugin comes through at the second.
#
#	rswap-addresses.sh
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

rdma=10.77.0.1     # eth0's, and so soft-RoCE's
plain=10.78.0.1    # an interface without RDMA
refusing=10.78.0.2 # another address of that interface: nobody listens
silent=10.79.0.9   # behind an interface that drops all
req=$RSWAP_BUILD/tests/integration/req
socket=/run/addresses.sock
control=/run/addresses.ctl
log=/run/addresses.log

# name NAME ADDRESS: NAME has that address, and then the one with RDMA
name()
{
	printf '%s %s\n' "$2" "$1" "$rdma" "$1" >>/etc/hosts
	[ "$(getent ahostsv4 "$1" | awk '$2 == "STREAM" { printf "%s ", $1 }')" \
		= "$2 $rdma " ] || die "$1 is $(getent ahostsv4 "$1")"
}

serves()
{
	[ -n "$(status_value slabs_live "$control" 2>/dev/null)" ]
}

# swaps NAME KEY=VALUE...: a plugin comes through to NAME, over RDMA
swaps()
{
	local pid said
	rm -f $socket
	nbdkit -f -U $socket "$plugin" "$@" size=8M lanes=2 timeout=20 \
		psk-file="$psk_file" control=$control 2>$log &
	pid=$!
	await 60 serves || die "$1: nbdkit does not start: $(<$log)"
	said=$("$req" "nbd+unix:///?socket=$socket" write:0:4096:3 \
		check:0:4096:3 | tr '\n' ' ')
	[ "$said" = "ok ok " ] || die "$1: $said"
	said=$(status_value servers.0.transport $control)
	[ "$said" = rdma ] || die "$1: over $said"
	kill "$pid"
	wait "$pid" || true
	say "$* comes through"
}

# The resolver would put the nearest address first, which is eth0's.
echo "precedence ::ffff:10.78.0.0/111 100" >/etc/gai.conf
load_modules dummy
ip link add plain type dummy
ip address add $plain/24 dev plain
ip address add $refusing/24 dev plain
ip link set plain up
ip route add 10.79.0.0/24 dev plain
name silent $silent
name refusing $refusing
name mixed $plain

start_memserver auto mixed 64M --slab-size=1M 2>/run/memserver.log
for line in "$plain:10909 (tcp)" "$rdma:10909 (tcp, rdma)"; do
	grep -qF "listening on $line" /run/memserver.log ||
		die "not listening on $line: $(</run/memserver.log)"
done
swaps mixed transport=rdma
swaps mixed
swaps refusing transport=rdma
swaps refusing
swaps silent transport=rdma
stop_memserver

say "where RDMA is required, the address that has it is enough"
start_memserver rdma mixed 64M --slab-size=1M 2>/run/memserver.log
grep -qF "listening on 1 of its 2 addresses" /run/memserver.log ||
	die "it says: $(</run/memserver.log)"
swaps mixed
stop_memserver
say "done"
