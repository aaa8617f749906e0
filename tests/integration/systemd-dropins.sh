#!/bin/bash
# What rswap@NAME hands to attach, of NAME.conf and NAME.conf.d: a systemd of the
# test's own starts a unit with the lines of rswap@.service, and a stand-in for
# rswapctl tells its command line.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
build=${RSWAP_BUILD:-$src/build}

skip() {
	echo "systemd-dropins: skipped: $*"
	exit 77
}

systemd=/lib/systemd/systemd
[ -x $systemd ] || skip "systemd is not installed"
# It wants a machine that was booted with systemd, and a cgroup of its own: all
# processes of the cgroup that it finds itself in are moved by it.
if [ -z "${RSWAP_UNSHARED:-}" ]; then
	unshare --mount true 2>/dev/null || skip "needs a mount namespace (root)"
	RSWAP_UNSHARED=1 exec unshare --mount --propagation private \
		"$BASH" "$0" "$@"
fi
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || skip "needs cgroup2"
cgroup=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/rswap-dropins-$$
mkdir "$cgroup" 2>/dev/null || skip "needs a cgroup of its own"

dir=$(mktemp -d)
manager=
end_manager() {
	[ -z "$manager" ] || kill -KILL "$manager" 2>/dev/null || true
	wait 2>/dev/null || true
	manager=
}
cleanup() {
	end_manager
	find "$cgroup" -depth -type d -exec rmdir {} \;
	rm -rf "$dir"
}
trap cleanup EXIT
mkdir -p "$dir"/{run,home/.config/systemd/user,etc/far.conf.d}

cat >"$dir/rswapctl" <<-END
	#!/bin/sh
	printf '<%s> ' "\$@" >"$dir/said.new"
	mv "$dir/said.new" "$dir/said"
END
chmod +x "$dir/rswapctl"

DESTDIR='' cmake --install "$build" --prefix "$dir/prefix" --component tools \
	>"$dir/installed"
{
	printf '[Service]\nType=oneshot\n'
	grep -E '^(Environment|EnvironmentFile|ExecStart)=' \
		"$dir/prefix/lib/systemd/system/rswap@.service" |
		sed "s#/etc/rswap/#$dir/etc/#; s#$dir/prefix/sbin/#$dir/#"
} >"$dir/home/.config/systemd/user/rswap@.service"

# attaches WORDS: what rswapctl is called with
attaches() {
	rm -f "$dir/said"
	(
		echo "$BASHPID" >"$cgroup/cgroup.procs"
		export HOME=$dir/home XDG_RUNTIME_DIR=$dir/run SYSTEMD_LOG_TARGET=console
		exec $systemd --user --unit=rswap@far.service
	) >"$dir/log" 2>&1 &
	manager=$!
	for _ in $(seq 600); do
		[ ! -e "$dir/said" ] && kill -0 "$manager" 2>/dev/null || break
		sleep 0.1
	done
	end_manager
	if [ ! -e "$dir/said" ] || [ "$(cat "$dir/said")" != "$1 " ]; then
		echo "wanted: $1"
		echo "said: $(cat "$dir/said" "$dir/log")"
		exit 1
	fi
}

cat >"$dir/etc/far.conf" <<-END
	SERVERS="10.0.0.1 10.0.0.2"
	SIZE="min(ram / 2, 64G)"
	OPTIONS="--replicas=2 --strict"
END
attaches "<attach> <--name=far> <--size=min(ram / 2, 64G)> <--front=auto> <--replicas=2> <--strict> <10.0.0.1> <10.0.0.2>"

# In the order of their names; other files are not read.
echo 'FRONT=nbdkit' >"$dir/etc/far.conf.d/20-two.conf"
printf 'FRONT=nbd\nOPTIONS=--lanes=8\n' >"$dir/etc/far.conf.d/10-one.conf"
echo 'FRONT=none' >"$dir/etc/far.conf.d/30-three.conf.old"
attaches "<attach> <--name=far> <--size=min(ram / 2, 64G)> <--front=nbdkit> <--lanes=8> <10.0.0.1> <10.0.0.2>"
