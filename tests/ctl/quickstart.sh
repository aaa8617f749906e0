#!/bin/bash
# The commands of README and docs/quickstart.md do what they say: each runs as it stands
# there, in a network with the addresses that it has, and an /etc of the test's own.
# What installs packages, needs systemd or the kernel's nbd is left out: these commands
# and no others.  tests/packages, tests/vm and docs-packages.sh try the same.
if [ -z "${RSWAP_NETWORK:-}" ]; then
	unshare --net --mount true 2>/dev/null || {
		echo "$(basename "$0"): skipped: needs network and mount namespaces (root)"
		exit 77
	}
	RSWAP_NETWORK=1 exec unshare --net "$BASH" "$0" "$@"
fi
. "$(dirname "$0")/harness.sh"
. "$src/tests/doc-commands.bash"

die() { fail "$@"; }

[ -z "$sanitizer" ] || skip "64G are much for a sanitizer"

# Patterns of whole commands, without comments.
left_out=(
	"apt install cmake gcc libc6-dev *" # docs-packages.sh has the list
	"cmake -B build -DCMAKE_INSTALL_PREFIX=/usr -DBUILD_TESTING=OFF"
	"cmake --build build && cmake --install build"
	"apt install build-essential debhelper dpkg-dev"
	"cd build && cpack"
	"apt install ./rswap-nbd_\*.deb ./rswap-tools_\*.deb"
	"apt install ./rswap-memserver_\*.deb ./rswap-tools_\*.deb"
	"systemctl daemon-reload && systemctl enable --now rswap@far"
	"systemctl daemon-reload && systemctl enable --now rswap-memserver"
	"nbd-client -unix /run/swap.sock /dev/nbd0 -block-size 4096 -connections 2 -timeout 105"
	"echo none >/sys/block/nbd0/queue/scheduler"
	"mkswap /dev/nbd0 && swapon --discard=pages -p 110 /dev/nbd0"
)
# What serves stays; what tells of a fault may exit with 1, as a container lacks what
# doctor looks for.  "a; b" and variables are the shell's.
run_command() { # COMMAND
	local status=0
	say "$1"
	case $1 in
	rswap-memserver*)
		eval "$1 >$dir/memserver.log 2>&1 </dev/null &"
		pid[memserver]=$!
		expect 10 has "$dir/memserver.log" "listening on"
		return
		;;
	esac
	case $1 in
	rswap-nbd*) # "... &   # go on when it says that it serves"
		eval "${1%%&*} >$dir/by-hand.log 2>&1 </dev/null &"
		pid[by_hand]=$!
		expect 10 has "$dir/by-hand.log" "serving 64G from 1 server"
		nbdinfo --size "nbd+unix:///?socket=/run/swap.sock" >"$dir/said"
		expect_line "$dir/said" $((64 << 30))
		stop by_hand || true
		return
		;;
	esac
	# as it stands, but for NAME, which status has shown, and the minute that a bench takes
	set -- "${1/rswapctl bench NAME/rswapctl bench --seconds=4 $name}"
	eval "$1" >"$dir/said" 2>&1 </dev/null ||
		status=$?
	case $1 in
	"rswapctl doctor"* | "rswapctl check"*) [ "$status" -le 1 ] ;;
	*) [ "$status" = 0 ] ;;
	esac || fail "exit status $status of: $1: $(cat "$dir/said")"
	case $1 in
	"rswapctl doctor 10"*) expect_line "$dir/said" ok 10.0.0.1 "65G free" ;;
	sysctl*) [ "$(cat /proc/sys/vm/min_free_kbytes)" = 65536 ] || fail "$1" ;;
	"rswapctl attach"*) swaps_to 0 || fail "no swap" ;;
	"rswapctl status"*)
		expect_line "$dir/said" "swap on /dev/nbd0"
		name=$(sed -n '1s,: /dev/.*,,p' "$dir/said")
		;;
	"rswapctl detach"*) expect_nothing_left "detach" ;;
	esac
}

ip link set lo up
ip address add 10.0.0.1/32 dev lo
ip address add 10.0.0.2/32 dev lo
mkdir "$dir/own-run"
mount --bind "$dir/own-run" /run
cp -a /etc "$dir/etc"
mount --bind "$dir/etc" /etc
rm -rf /etc/rswap
ln -s "$ctl" "$dir/bin/rswapctl"
ln -s "$memserver" "$dir/bin/rswap-memserver"
# to the other machine, which is this one
printf '#!/bin/sh\nexec cp "$1" "${2#store:}"\n' >"$dir/bin/scp"
printf '#!/bin/sh\nshift\nexec sh -c "$*"\n' >"$dir/bin/ssh"
chmod +x "$dir/bin/"{scp,ssh}

for page in "README.md:Two machines in five minutes" \
	"docs/quickstart.md:Keys:On store:On node"; do
	IFS=: read -ra words <<<"$page"
	ran=0
	name=
	for heading in "${words[@]:1}"; do
		run_commands "$src/${words[0]}" "$heading"
	done
	[ "$ran" -ge 10 ] || fail "$page is not understood: $ran commands"
	grep -qx 'OPTIONS="--psk-file=/etc/rswap/node.keys"' /etc/rswap/far.conf ||
		fail "far.conf: $(cat /etc/rswap/far.conf)"
	# the keys of further clients are beside the first one's
	for file in /etc/rswap/node*.keys; do
		grep -qxFf "$file" /etc/rswap/memserver.keys ||
			fail "memserver.keys lacks the key of $file"
	done
	stop memserver || true
	rm -rf /etc/rswap
done
all_left_out_seen
umount /etc /run
