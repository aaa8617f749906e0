#!/bin/bash
# What the DaemonSet of examples/kubernetes starts works as it stands there: with its
# users, capabilities and volumes, and with nothing else to write to.  And so do the
# commands of docs/kubernetes.md that run in the pod.  This is no cluster: namespaces
# and directories of the test's stand for the container's.
if [ -z "${RSWAP_NETWORK:-}" ]; then
	unshare --net --mount true 2>/dev/null || {
		echo "$(basename "$0"): skipped: needs network and mount namespaces (root)"
		exit 77
	}
	RSWAP_NETWORK=1 exec unshare --net --mount --propagation private \
		"$BASH" "$0" "$@"
fi
. "$(dirname "$0")/functions.sh"

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

mapfile -t command < <(pod keys run)
as_user 10909
"${container[@]}" "${command[@]}"
[ "$(stat -c '%a %u' /run/rswap-keys/memserver.keys)" = "400 10909" ] ||
	fail "keys: $(stat -c '%a %u' /run/rswap-keys/memserver.keys)"

mapfile -t command < <(pod memserver run)
command=("${command[@]//'$(HOST_IP)'/127.0.0.1}")
command[0]=rswap-memserver
mapfile -t capabilities < <(pod memserver capabilities)
# This machine's root may lack CAP_SYS_RESOURCE, and then has CAP_IPC_LOCK: the
# server keeps that, and its OOM score stays as it is.
sys_resource=$((0x$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status) >> 24 & 1))
if [ "$sys_resource" = 0 ]; then
	say "without CAP_SYS_RESOURCE, with CAP_IPC_LOCK instead"
	capabilities=("${capabilities[@]/SYS_RESOURCE/IPC_LOCK}")
fi
as_user 0 "${capabilities[@]}"
"${container[@]}" "${command[@]}" >"$dir/memserver.log" 2>&1 &
pid[memserver]=$!
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
umount /usr/local/sbin /etc /run
