#!/bin/bash
# An interface that leads to a memory server, and that ifupdown or systemd-networkd
# takes down before swap is off: attach warns of it, and doctor tells it.
if [ -z "${RSWAP_NETWORK:-}" ]; then
	unshare --net true 2>/dev/null || {
		echo "$(basename "$0"): skipped: needs a network namespace (root)"
		exit 77
	}
	RSWAP_NETWORK=1 exec unshare --net "$BASH" "$0" "$@"
fi
. "$(dirname "$0")/harness.sh"

ip link set lo up
out=$(ip link add far0 type veth peer name far1 2>&1) || skip "no veth: $out"
for name in far0 far1; do
	ip link set $name up
done
ip address add 10.9.9.1/24 dev far0
index=$(ip -o link show far0 | cut -d: -f1)

cp -a /etc "$dir/etc"
mount --bind "$dir/etc" /etc
rm -rf /etc/network
mkdir -p /etc/network/interfaces.d "$dir/run-files"/{network,systemd/netif/{links,leases}}
mount --bind "$dir/run-files" /run

start_server a --listen=10.9.9.1 --allow-unauthenticated --memory=64M --slab-size=1M
code='[network-ends]'

attach_far() {
	"$ctl" attach 10.9.9.1 --size=16M --transport=tcp --lanes=2 "${front_options[@]}" \
		>"$dir/one.log" 2>&1 || fail "attach: $(cat "$dir/one.log")"
}

doctor() {
	"$ctl" doctor --role=compute >"$dir/said" 2>&1 || true
}
tells() { # WORD...
	doctor
	expect_line "$dir/said" warn "$code" "$@"
}
tells_nothing() {
	doctor
	! has "$dir/said" "$code" || fail "$(cat "$dir/said")"
}
interfaces() { # LINE...
	printf '%s\n' "$@" >/etc/network/interfaces
}

say "nobody looks after it"
attach_far
! has "$dir/one.log" "$code" || fail "$(cat "$dir/one.log")"
tells_nothing

say "ifupdown"
echo lo=lo >/run/network/ifstate
tells_nothing
echo far0=inet-far >>/run/network/ifstate
tells "ifupdown takes far0" "write auto far0 and no-auto-down far0"
interfaces "auto lo far0" "  no-auto-down eth0 far0 "
tells_nothing
interfaces "no-auto-down /far*"
tells_nothing
interfaces "no-auto-down far0" "allow-hotplug far0"
tells "ifupdown takes far0" "no allow-hotplug"
interfaces "# no-auto-down far0"
tells "ifupdown takes far0"
echo "no-auto-down far0" >/etc/network/interfaces.d/far
tells_nothing
rm /run/network/ifstate

say "systemd-networkd"
echo ADDRESS=10.9.9.1 >"/run/systemd/netif/leases/$index"
tells "systemd-networkd gives back the address of far0" "KeepConfiguration=dhcp-on-stop"
mkdir -p /etc/systemd/network/far.network.d
printf '[Network]\nDHCP=yes\nKeepConfiguration=no\n' >/etc/systemd/network/far.network
printf '[Network]\nKeepConfiguration=dhcp-on-stop\n' >/etc/systemd/network/far.network.d/keep.conf
links=/run/systemd/netif/links/$index
printf 'ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/far.network\n' >"$links"
tells "systemd-networkd gives back the address of far0"
echo 'NETWORK_FILE_DROPINS="/etc/systemd/network/far.network.d/keep.conf"' >>"$links"
tells_nothing
rm "/run/systemd/netif/leases/$index" "$links"
tells_nothing

say "attach warns"
detach gone nbd0 || fail "detach: $(cat "$dir/gone.log")"
rm -r /etc/network
echo far0=far0 >/run/network/ifstate
attach_far
expect_line "$dir/one.log" "warning: ifupdown takes far0" "$code" "-> write auto far0"
detach gone nbd0 || fail "detach: $(cat "$dir/gone.log")"
