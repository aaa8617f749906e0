#!/bin/bash
# What the DaemonSet of examples/kubernetes starts works as it stands there: with its
# users, capabilities and volumes, and with nothing else to write to.  And so do the
# commands of docs/kubernetes.md that run in the pod, and the overlay of a pool, with a
# real etcd.  This is no cluster: namespaces and directories of the test's stand for the
# container's.
if [ -z "${RSWAP_NETWORK:-}" ]; then
	unshare --net --mount true 2>/dev/null || {
		echo "$(basename "$0"): skipped: needs network and mount namespaces (root)"
		exit 77
	}
	RSWAP_NETWORK=1 exec unshare --net --mount --propagation private \
		"$BASH" "$0" "$@"
fi
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

[ -z "$sanitizer" ] || skip "64G are much for a sanitizer"
requires /usr/bin/python3 -c 'import yaml'
requires setpriv --version
manifest=$src/examples/kubernetes/base/memserver.yaml
page=$src/docs/kubernetes.md

pod() { # CONTAINER WHAT
	/usr/bin/python3 "$here/k8s-manifests.py" pod "$manifest" "$@"
}

# --- what the node and the image have ---

ip link set lo up
mkdir -p "$dir"/{own-run/{rswap-secret,rswap-keys,rswap-memserver},etc,sbin}
mount --bind "$dir/own-run" /run
cp -a /etc/. "$dir/etc"
echo 'rswap:x:10909:10909::/nonexistent:/usr/sbin/nologin' >>"$dir/etc/passwd"
echo 'rswap:x:10909:' >>"$dir/etc/group"
mkdir -p "$dir/etc/rswap/tenants"
sed -n '/^  tenants: |/,$s/^    //p' "$src/examples/kubernetes/base/tenants.yaml" \
	>"$dir/etc/rswap/tenants/tenants"
mount --bind "$dir/etc" /etc
# programs where others can reach them, and nothing else of the build
install "$memserver" "$dir/sbin/rswap-memserver"
install "$build/ctl/rswapctl" "$dir/sbin/rswapctl"
mount -t tmpfs sbin /usr/local/sbin
install "$dir"/sbin/* /usr/local/sbin
chmod 755 "$dir"
PATH=/usr/local/sbin:$PATH

# Volumes as kubelet makes them with fsGroup.
chown -R 0:10909 /run/rswap-*
chmod 2775 /run/rswap-*
secret() { # NAME...
	local name
	for name; do
		rswapctl genkey "$name"
	done >"$dir/secret"
	install --group=10909 --mode=0440 "$dir/secret" /run/rswap-secret/memserver.keys
}
secret node-7

# --- as the container runtime starts it ---

# as_user ID CAPABILITY...: sets container, which starts a command with these alone, in
# a root directory that cannot be written to; each step becomes the next one, so that
# the process is the command's in the end
as_user() {
	local user=$1 set=-all name
	shift
	for name; do
		set+=,+${name,,}
	done
	container=(unshare --mount --propagation private bash -c '
		mount -o remount,bind,ro / || exit
		exec "$@"' container
		setpriv --reuid="$user" --regid="$user" --groups=10909
		--bounding-set="$set" --inh-caps="$set" --no-new-privs)
}

copy_keys() {
	mapfile -t command < <(pod keys run)
	as_user 10909
	"${container[@]}" "${command[@]}"
}
# The container of the server runs until it is stopped.  Its node has the label of zone.
zone=
start_memserver() {
	mapfile -t command < <(pod memserver run)
	command=("${command[@]//'$(HOST_IP)'/127.0.0.1}")
	command=("${command[@]//'$(ZONE)'/$zone}")
	command[0]=rswap-memserver
	as_user 0 "${capabilities[@]}"
	"${container[@]}" "${command[@]}" >"$dir/memserver.log" 2>&1 &
	pid[memserver]=$!
}

copy_keys
[ "$(stat -c '%a %u' /run/rswap-keys/memserver.keys)" = "400 10909" ] ||
	fail "keys: $(stat -c '%a %u' /run/rswap-keys/memserver.keys)"

mapfile -t capabilities < <(pod memserver capabilities)
# This machine's root may lack CAP_SYS_RESOURCE, and then has CAP_IPC_LOCK: the
# server keeps that, and its OOM score stays as it is.
sys_resource=$((0x$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status) >> 24 & 1))
if [ "$sys_resource" = 0 ]; then
	say "without CAP_SYS_RESOURCE, with CAP_IPC_LOCK instead"
	capabilities=("${capabilities[@]/SYS_RESOURCE/IPC_LOCK}")
fi
start_memserver
expect 20 has "$dir/memserver.log" "serving 64G"

field() { # FIELD
	sed -n "s/^$1:[[:space:]]*//p" "/proc/${pid[memserver]}/status"
}
[ "$(field Uid | cut -f1)" = 10909 ] || fail "user: $(field Uid)"
case $sys_resource$(field CapPrm) in
10000000000000000)
	[ "$(cat "/proc/${pid[memserver]}/oom_score_adj")" = -1000 ] || fail "OOM score"
	;;
00000000000000000 | 00000000000004000) ;;
*) fail "capabilities: $(field CapPrm)" ;;
esac
! grep -q "serving as root" "$dir/memserver.log" || fail "it is root"

# --- probes ---

curl --silent --show-error --fail "$(pod memserver probe)" >"$dir/metrics" ||
	fail "the probe fails"
grep -q '^rswap_build_info.*role="memserver"' "$dir/metrics" ||
	fail "the probe reads: $(head -n 3 "$dir/metrics")"

# --- the commands of docs/kubernetes.md ---

# exec_in_pod TEXT: "    kubectl ... exec POD -- COMMAND" with TEXT in COMMAND, as the
# container's user, with its capabilities
exec_in_pod() {
	local found
	found=$(sed -ne ':more' -e '/\\$/{N;s/\\\n *//;b more' -e '}' \
		-e 's/^ \{4,\}kubectl .*exec .* -- //p' "$page" | grep -F -- "$1") ||
		fail "$page has no command with $1"
	# the server is the first process of its container only
	eval "set -- ${found/kill -HUP 1/kill -HUP ${pid[memserver]}}"
	"${container[@]}" "$@" || fail "in the pod: $*"
}

exec_in_pod "rswapctl status" >"$dir/said"
grep -q "64 GiB free" "$dir/said" || fail "status: $(cat "$dir/said")"

secret node-7 node-8
exec_in_pod "kill -HUP 1"
expect 10 has "$dir/memserver.log" "has 2 keys"

exec_in_pod "rswapctl drain" >"$dir/said"
grep -q "draining, with 0 slabs" "$dir/said" || fail "drain: $(cat "$dir/said")"
exec_in_pod "drain --undo" >"$dir/said" # and a server that is empty ends at once
stop memserver || fail "exit status $?"

# --- in a pool ---

requires /usr/bin/python3 -c 'import jsonpatch'
requires command -v etcd
requires command -v certtool
/usr/bin/python3 "$here/k8s-manifests.py" overlay "$src/examples/kubernetes/pool-zones" >"$dir/pool.yaml"
manifest=$dir/pool.yaml
pool=$(pod memserver run | sed -n 's/^--pool=//p')
hosts=${pool#etcd://} hosts=${hosts%/*}
echo "127.0.0.1 ${hosts//,/ }" >>"$dir/etc/hosts"
certify ca ca cert_signing_key
# shellcheck disable=SC2046 # words
certify host $(sed 's/^\|,/ dns_name=/g' <<<"$hosts") ip_address=127.0.0.1 tls_www_server signing_key
port[e]=2379 peer_port[e]=2380
etcd_extra[e]="--cert-file=$dir/host.pem --key-file=$dir/host.key"
etcd_is_well() {
	asked endpoint health >/dev/null 2>&1
}
asked() { # ETCDCTL-ARGUMENT...
	etcd_do e --cacert="$dir/ca.pem" "$@" </dev/null
}
start_etcds e
expect 60 etcd_is_well
asked user add root:rootpw >/dev/null
asked user grant-role root root >/dev/null
# The user of docs/pool.md.
sed -n 's/^    etcdctl //p' "$src/docs/pool.md" | grep rswap-server |
	sed 's/ && etcdctl /\n/; s/user add rswap-server/&:secret/' >"$dir/user"
while read -ra words; do
	asked "${words[@]}" >/dev/null
done <"$dir/user"
asked auth enable >/dev/null
cp "$dir/ca.pem" "$dir/pool-ca.pem"
echo rswap-server:secret >"$dir/pool.login"
install --group=10909 --mode=0440 "$dir"/pool{-ca.pem,.login} /run/rswap-secret
copy_keys

start_memserver # on a node without the label
expect 20 gone "${pid[memserver]}"
expect_one_line "$dir/memserver.log" "--zone=: allowed is"
unset "pid[memserver]"

zone=rack-7
start_memserver
expect 20 has "$dir/memserver.log" "pool blue: registered as 127.0.0.1:10909"
asked --user=rswap-server:secret get --prefix /rswap/1/blue/servers/ --print-value-only >"$dir/said"
expect_line "$dir/said" '"zone":"rack-7"' '"address":"127.0.0.1:10909"'
exec_in_pod "rswapctl pool status" >"$dir/said"
expect_line "$dir/said" 127.0.0.1:10909 rack-7 serving

# A node that swaps, which has one of the keys.
(umask 077 && head -n 1 "$dir/secret" >"$dir/node-7.keys" && cp "$dir/pool.login" "$dir/node-7.login")
start_plugin p pool="$pool" pool-ca="$dir/pool-ca.pem" pool-login="$dir/node-7.login" \
	psk-file="$dir/node-7.keys" size=8M timeout=60 lanes=4
expect_value p pool.used -eq 1
expect_req p ok write:0:8M:4
expect_req p ok check:0:8M:4
stop p
stop memserver || fail "exit status $?"
stop e || true
umount /usr/local/sbin /etc /run
