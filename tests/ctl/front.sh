#!/bin/bash
# Which front end attach takes, and what attach, status and doctor say of it.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

# The front end that --front=auto is to take is the best one that is there.
front_options=()

# takes PROGRAM "REASON" [OPTION...]: attach starts it, and says why
takes() {
	local program=$1 reason=$2 device=nbd0
	[ "$program" != rswap-ublk ] || device=ublkb0
	shift 2
	attach takes "$@" || fail "attach $*: $(cat "$dir/takes.log")"
	[ "$(daemons | wc -l)" = 1 ] || fail "$*: no $program"
	expect_line "$dir/takes.log" "  $program" "$reason"
	expect_line "$RSWAP_RUN_DIR/$device/state" choice "$reason"
	swaps_to "$device" || fail "$device is no swap"
	"$ctl" status "$device" >"$dir/said" || fail "status: $(cat "$dir/said")"
	expect_line "$dir/said" "front     $program" "$reason"
	[ "$(cat "$RSWAP_RUN_DIR/$device/pid")" = "$(daemons)" ] || fail "pid"
	detach takes "$device" || fail "detach: $(cat "$dir/takes.log")"
	has "$dir/takes.log" "stop $program (process" || fail "$program: not stopped"
	expect_nothing_left "$program"
}

# doctor_says WORD... -- [OPTION...]
doctor_says() {
	local words=()
	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	shift
	"$ctl" doctor --role=compute "$@" >"$dir/said" 2>&1 || true
	expect_line "$dir/said" "${words[@]}"
}

# refuses WORD... -- [OPTION...]: attach does not begin
refuses() {
	local words=()
	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	shift
	! attach refused "$@" || fail "attach $*: it does not fail"
	expect_one_line "$dir/refused.log" "${words[@]}"
}

export RSWAP_PLUGIN=$plugin
version=$("$ctl" --version | sed 's/.* //')

say "all are there"
has_ublk
takes rswap-ublk "the best one here"
takes rswap-ublk "--front=ublk" --front=ublk
takes rswap-ublk "the best one here" --device=/dev/ublkb0
takes rswap-nbd "the best one here" --device=/dev/nbd0
takes rswap-nbd "--front=nbd" --front=nbd
takes nbdkit "--front=nbdkit" --front=nbdkit
takes nbdkit "a plugin was given" --plugin="$plugin"
takes nbdkit "--front=nbdkit" --front=nbdkit --plugin="$plugin"
doctor_says ok "front end" "rswap-ublk: the best one here" --
doctor_says ok "ublk devices" "made as they are needed" --
doctor_says ok rswap-ublk "version $version" --
doctor_says ok "nbd devices" "the first free one is /dev/nbd0" -- --front=nbd
doctor_says ok rswap-nbd "version $version" -- --front=nbd
doctor_says ok "front end" "nbdkit with the plugin: --front=nbdkit" -- \
	--front=nbdkit
refuses "--plugin=$plugin" "allowed with --front=nbdkit" -- --front=nbd \
	--plugin="$plugin"
refuses "--front=tape" "auto|ublk|nbd|nbdkit" -- --front=tape
refuses "--device=/dev/ublkb0" "its devices are /dev/nbdN" -- --front=nbd \
	--device=/dev/ublkb0
refuses "--device=/dev/nbd0" "its devices are /dev/ublkbN" -- --front=ublk \
	--device=/dev/nbd0
refuses "--device=/dev/tape0" "/dev/nbd0 to /dev/nbd1023" "/dev/ublkb0 to" -- \
	--device=/dev/tape0

say "rswap-ublk is not installed"
rm "$dir/bin/rswap-ublk"
! command -v rswap-ublk >/dev/null || skip "this machine has rswap-ublk"
takes rswap-nbd "the best one here: rswap-ublk is not installed"
refuses "--front=ublk" "rswap-ublk is not installed" -- --front=ublk
ln -s "$fake_ublk" "$dir/bin/rswap-ublk"

say "the kernel has no ublk"
rm "$RSWAP_FAKE/ublk_drv" /dev/ublk-control
takes rswap-nbd "the best one here: this kernel has no ublk"
refuses "--front=ublk" "this kernel has no ublk" -- --front=ublk
doctor_says FAIL "front end" "this kernel has no ublk" -- --front=ublk

say "rswap-nbd is another version"
rm "$dir/bin/rswap-nbd"
printf '#!/bin/sh\necho rswap-nbd 0.0.0\n' >"$dir/bin/rswap-nbd"
chmod +x "$dir/bin/rswap-nbd"
doctor_says warn rswap-nbd "version 0.0.0" "-> install both anew" --

say "rswap-nbd is not installed"
rm "$dir/bin/rswap-nbd"
! command -v rswap-nbd >/dev/null || skip "this machine has rswap-nbd"
takes nbdkit "the best one here: this kernel has no ublk (ublk_drv), rswap-nbd is not installed"
refuses "--front=nbd" "rswap-nbd is not installed" -- --front=nbd
doctor_says ok "front end" "rswap-nbd is not installed" --
doctor_says FAIL "front end" "rswap-nbd is not installed" -- --front=nbd

say "none is installed"
rm -f "$dir/bin/nbdkit"
mount --bind /dev/null "$(command -v nbdkit)"
refuses "there is no front end" "nbdkit is not installed" --
doctor_says FAIL "front end" "there is no front end" "-> install" --
