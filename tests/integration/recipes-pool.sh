#!/bin/bash
# The scripts of examples/shell with a pool, in a real etcd that speaks TLS and has users:
# a memory server with what the one writes is found by a device with what the other one
# writes.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"
. "$(dirname "$0")/recipes-functions.bash"
requires command -v etcd
requires command -v certtool

certify ca ca cert_signing_key
certify host ip_address=127.0.0.1 tls_www_server signing_key
etcd_extra[e]="--cert-file=$dir/host.pem --key-file=$dir/host.key"
start_etcds e
asked() { # ETCDCTL-ARGUMENT...
	etcd_do e --cacert="$dir/ca.pem" "$@"
}
is_well() {
	asked endpoint health >/dev/null 2>&1
}
expect 60 is_well
for words in "user add root:rootpw" "user grant-role root root" "user add swap:secret" \
	"role add rswap" "role grant-permission rswap --prefix=true readwrite /rswap/" \
	"user grant-role swap rswap" "auth enable"; do
	read -ra word <<<"$words"
	asked "${word[@]}" >/dev/null
done
pool=etcd://127.0.0.1:${port[e]}/blue
echo swap:secret >"$dir/etcd.login"

# --- a memory server ---

server=(memory-server.sh --memory=1G --listen=127.0.0.1:0 --keys=node-7.keys "--pool=$pool"
	--pool-ca=ca.pem --pool-login=etcd.login "--options=--zone=rack-7 --transport=tcp"
	rswap-memserver.deb rswap-tools.deb)
recipe "${server[@]}" || fail "exit status $?: $(cat "$dir/said")"
dropin=/etc/systemd/system/rswap-memserver.service.d/pool.conf
says memory-server.sh "installed ./rswap-memserver.deb ./rswap-tools.deb $libraries" \
	"wrote /etc/rswap/memserver.keys" "wrote /etc/rswap/memserver.pool-ca" \
	"wrote /etc/rswap/memserver.pool-login" "wrote $dropin" \
	"wrote /etc/default/rswap-memserver" \
	"enabled rswap-memserver.service" "started rswap-memserver.service"
has_mode 600 /etc/rswap/memserver.pool-login
has_mode 644 $dropin
nothing_to_do "${server[@]}"

# Files as systemd hands them over, and the real one with the options that are there.
given=$dir/credentials
mkdir "$given"
[ "$(sed -n 2p "$root$dropin")" = "[Service]" ] || fail "$(cat "$root$dropin")"
sed -n 's/^LoadCredential=//p' "$root$dropin" | while IFS=: read -r name file; do
	install --mode=0400 "$root$file" "$given/$name"
done
options=$(sed -n 's/^OPTIONS="\(.*\)"$/\1/p' "$root/etc/default/rswap-memserver")
# shellcheck disable=SC2086 # words, as systemd splits them
"$memserver" ${options//\/run\/credentials\/rswap-memserver.service/$given} \
	--psk-file="$root/etc/rswap/memserver.keys" --control="$dir/memserver.ctl" \
	>"$dir/memserver.log" 2>&1 &
pid[memserver]=$!
expect 20 has "$dir/memserver.log" "pool blue: registered as 127.0.0.1:"
asked --user=swap:secret get --prefix /rswap/1/blue/servers/ --print-value-only >"$dir/said"
expect_line "$dir/said" '"zone":"rack-7"'

# --- a machine that swaps ---

node=(compute-node.sh --name=far "--pool=$pool" --pool-ca=ca.pem --pool-login=etcd.login --size=8M
	--keys=node-7.keys --options=--pool-reserve=all rswap-nbd.deb rswap-tools.deb)
recipe "${node[@]}" || fail "exit status $?: $(cat "$dir/said")"
says compute-node.sh "installed ./rswap-nbd.deb" \
	"wrote /etc/rswap/far.keys" "wrote /etc/rswap/far.pool-ca" "wrote /etc/rswap/far.pool-login" \
	"wrote /etc/rswap/far.conf" "enabled rswap@far.service" "started rswap@far.service"
has_mode 600 /etc/rswap/far.pool-login
nothing_to_do "${node[@]}"
grep -qx 'SERVERS=""' "$root/etc/rswap/far.conf" || fail "$(cat "$root/etc/rswap/far.conf")"

# attach hands these to the front end by the same names.
read -ra words <<<"$(sed -n 's/^OPTIONS="\(.*\)"$/\1/p' "$root/etc/rswap/far.conf")"
"$build/ctl/rswapctl" attach --help >"$dir/help"
for word in "${words[@]}"; do
	has "$dir/help" "${word%%=*}=" || fail "attach has no ${word%%=*}"
done
words=("${words[@]#--}")
words=("${words[@]/=\/var\/lib\//=$root/var/lib/}")
words=("${words[@]/=\/etc\//=$root/etc/}")
mkdir -p "$root/var/lib/rswap"
start_plugin far "${words[@]}" size=8M timeout=60 lanes=4
expect_value far pool.used -eq 1
expect_value far pool.reserved_bytes -gt 0
expect_req far ok write:0:8M:4
expect_req far ok check:0:8M:4
stop far

# It starts without etcd too.
stop e KILL || true
words=("${words[@]/pool-reserve=all/timeout=60}")
start_plugin far "${words[@]}" size=8M lanes=4
expect_line "$dir/far.log" "starting with the servers of pool-state="
expect_req far ok write:0:8M:4
stop far
stop memserver || fail "exit status $?"

# --- other ways to name it ---

recipe compute-node.sh --name=both --servers=10.0.0.1 --pool=etcd://e1/blue --size=1G --keys=node-8.keys \
	--options=--pool-state=/srv/both
grep -qx 'SERVERS="10.0.0.1"' "$root/etc/rswap/both.conf" || fail "$(cat "$root/etc/rswap/both.conf")"
grep -qx 'OPTIONS="--psk-file=/etc/rswap/both.keys --pool=etcd://e1/blue --pool-state=/srv/both"' \
	"$root/etc/rswap/both.conf" || fail "$(cat "$root/etc/rswap/both.conf")"
recipe compute-node.sh --name=options --size=1G --keys=node-8.keys --options=--pool=etcd://e1/blue
grep -qx 'OPTIONS="--psk-file=/etc/rswap/options.keys --pool=etcd://e1/blue"' \
	"$root/etc/rswap/options.conf" || fail "$(cat "$root/etc/rswap/options.conf")"

# --- what is wrong ---

for ok in "memory-server.sh --memory=1G --listen=10.0.0.1" "compute-node.sh --name=no --servers=10.0.0.1 --size=1G"; do
	read -ra ok <<<"$ok"
	ok+=(--keys=node-8.keys)
	refuses "--pool=e1/blue: allowed is etcd://HOST[:PORT][,HOST[:PORT]].../NAME" "${ok[@]}" --pool=e1/blue
	refuses "--pool=etcd://e1/Blue: allowed is" "${ok[@]}" --pool=etcd://e1/Blue
	refuses "--pool-ca, --pool-cert, --pool-key and --pool-login: allowed with --pool" "${ok[@]}" --pool-ca=ca.pem
	refuses "none: there is no such file that can be read" "${ok[@]}" --pool=etcd://e1/blue --pool-key=none
	echo secret >"$dir/bad.login"
	refuses "--pool-login=bad.login: allowed is a line USER:PASSWORD" "${ok[@]}" --pool=etcd://e1/blue \
		--pool-login=bad.login
	! grep -q secret "$dir/said" || fail "it tells a password"
done
[ -z "$(find "$root" -name '*.new')" ] || fail "left: $(find "$root" -name '*.new')"
