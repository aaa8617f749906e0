# shellcheck shell=bash
# Installs what packages.txt lists.  Source it.

# list_packages FILE GROUP...
list_packages()
{
	local file=$1 group
	shift
	for group in "$@"; do
		sed -n "s/^$group //p" "$file"
	done
}

package_installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = \
		installed ]
}

# install_packages FILE GROUP...: those that are missing; nothing else is
# touched, and no network is needed where none is missing.
install_packages()
{
	local missing=() package
	for package in $(list_packages "$@"); do
		package_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "installing: ${missing[*]}"
	[ "$(id -u)" = 0 ] || {
		echo "not root: install them by hand, or run this as root" >&2
		return 1
	}
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
		--no-install-recommends "${missing[@]}" >/dev/null
}
