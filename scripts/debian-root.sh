# shellcheck shell=bash
# A root directory with a release of Debian, made by debootstrap.  Source it.
#
# The script that does sets:
#   release     the release's name
#   directory   what is made there: root/, and logs
#   root        $directory/root
#   build       a directory that is /build inside
#   mirror      where the release is to be had, or empty
# and has a function die MESSAGE.

# What apt says of its sources, as one line each: release, label, address.
apt_sources()
{
	# shellcheck disable=SC2016 # apt fills it in
	apt-get indextargets --format '$(RELEASE) $(LABEL) $(REPO_URI)' \
		'Created-By: Packages'
}

find_mirror()
{
	local own
	own=$(. /etc/os-release && echo "$VERSION_CODENAME")
	[ -n "$(apt_sources)" ] || apt-get update -qq
	apt_sources | awk -v own="$own" '$1 == own && $2 == "Debian" {
		print $3; exit }'
}

make_root()
{
	[ ! -e "$root/complete" ] || return 0
	mirror=${mirror:-$(find_mirror)}
	[ -n "$mirror" ] || die "apt has no source of Debian; use --mirror="
	rm -rf "$root"
	mkdir -p "$root"
	debootstrap --variant=minbase "$release" "$root" "$mirror" \
		>"$directory/debootstrap.log" 2>&1 || {
		tail -n 20 "$directory/debootstrap.log" >&2
		die "debootstrap fails"
	}
	touch "$root/complete"
}

# inside COMMAND...: in the root, with processes and mounts of its own, the
# repository at /rswap to read, and the build at /build.
inside()
{
	unshare --mount --pid --fork --kill-child bash -euc '
		mount --make-rprivate /
		# so that / is a mount there, as programs expect
		mount --bind "$1" "$1"
		root=$1 src=$2 build=$3
		shift 3
		mkdir -p "$root"/{rswap,build}
		mount --bind "$src" "$root/rswap"
		mount -o remount,bind,ro "$root/rswap"
		mount --bind "$build" "$root/build"
		mount -t proc proc "$root/proc"
		mount --rbind /sys "$root/sys"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs run "$root/run"
		exec chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"
	' inside "$root" "$PWD" "$build" "$@"
}
