# shellcheck shell=bash
# What prepare, guest and pair share.  Sourced, with $here set to tests/vm.
# shellcheck disable=SC2034,SC2154

src=$(cd "$here/../.." && pwd)
cache=${RSWAP_VM_CACHE:-$src/build-vm}
build=${RSWAP_BUILD:-$src/build}
# use_kernel sets both: the kernel's directory, and the initramfs with some of
# its modules.
kernel=
initramfs=

die()
{
	echo "${0##*/}: $*" >&2
	exit 125
}

require_commands()
{
	local command
	for command in "$@"; do
		command -v "$command" >/dev/null ||
			die "$command is not installed"
	done
}

# bound SIGNAL COMMAND ARGS... &: in the background, a program that gets the
# signal when this shell dies, however it dies.  The exec makes the program
# this shell's own child; a subshell between them would break the chain.
bound()
{
	exec setpriv --pdeathsig "$@"
}

# Wait until a test succeeds: await SECONDS COMMAND ARGS...
await()
{
	local deadline=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.2
	done
}

# use_kernel RELEASE: that of another release of Debian, or with "" this one's.
use_kernel()
{
	[[ $1 =~ ^[a-z]*$ ]] || die "--kernel=$1: the name of a release of Debian"
	kernel=$cache/kernel${1:+-$1}
	initramfs=$cache/initramfs${1:+-$1}.gz
}

kernel_image()
{
	echo "$kernel/boot/vmlinuz-$(<"$kernel/version")"
}

# The directory of the kernel's modules.
kernel_modules()
{
	echo "$kernel/lib/modules/$(<"$kernel/version")"
}

# There may be a /dev/kvm that opens and yet runs nothing.  The proof is the
# kernel itself, booted until its init says that it lives.
kvm_works()
{
	local out
	[ -w /dev/kvm ] || return 1
	out=$(timeout -k 1 10 qemu-system-x86_64 -accel kvm -cpu max -smp 2 \
		-m 256 -nodefaults -display none -no-reboot -serial stdio \
		-kernel "$(kernel_image)" -initrd "$initramfs" \
		-append "console=ttyS0 quiet panic=-1 rswap.probe" \
		2>/dev/null) || return 1
	[[ $out == *rswap-probe-ok* ]]
}

probe_accel()
{
	if kvm_works; then
		echo kvm
	else
		echo tcg,thread=multi
	fi
}
