# For tests of examples/shell, which source functions.sh: the scripts run in a directory
# of the test's, with stand-ins for what would change this machine.
# shellcheck shell=bash

root=$dir/root
export DESTDIR=$root RSWAP_TEST=$dir
mkdir -p "$dir/bin" "$dir/units" "$dir/packages"

# --- stand-ins ---

# Installs by noting the version; apt-get's own files have the version 1.
cat >"$dir/bin/apt-get" <<-'END'
	#!/bin/bash
	echo "apt-get $*" >>"$RSWAP_TEST/calls"
	[ "$1" = install ] || exit 0
	for word in "${@:2}"; do
		case $word in
		-*) continue ;;
		*.deb) dpkg-deb --field "$word" Version >"$RSWAP_TEST/packages/$(
			dpkg-deb --field "$word" Package)" ;;
		*) echo 1 >"$RSWAP_TEST/packages/$word" ;;
		esac
	done
END
cat >"$dir/bin/dpkg-query" <<-'END'
	#!/bin/sh
	for package; do :; done
	[ -e "$RSWAP_TEST/packages/$package" ] || exit 1
	echo "installed $(cat "$RSWAP_TEST/packages/$package")"
END
# A unit is what $dir/units has as UNIT.active and UNIT.enabled.
cat >"$dir/bin/systemctl" <<-'END'
	#!/bin/bash
	unit=$RSWAP_TEST/units/${*: -1}
	case $1 in
	is-active)
		[ "$2" = --quiet ] || cat "$unit.active" 2>/dev/null || echo inactive
		grep -qx active "$unit.active" 2>/dev/null
		exit
		;;
	is-enabled) [ -e "$unit.enabled" ]; exit ;;
	enable) touch "$unit.enabled" ;;
	start) [ ! -e "$unit.fails" ] || exit 1; echo active >"$unit.active" ;;
	esac
	echo "systemctl $*" >>"$RSWAP_TEST/calls"
END
chmod +x "$dir"/bin/*
PATH=$dir/bin:$PATH

# deb PACKAGE VERSION: a package of nothing, as $dir/PACKAGE.deb
deb() {
	mkdir -p "$dir/deb/DEBIAN"
	printf '%s\n' "Package: $1" "Version: $2" "Architecture: all" \
		"Maintainer: nobody <nobody@localhost>" "Description: a test" \
		>"$dir/deb/DEBIAN/control"
	dpkg-deb --build "$dir/deb" "$dir/$1.deb" >/dev/null
}
requires dpkg-deb --version
for package in rswap-memserver rswap-tools rswap-nbd rswap-ublk; do
	deb $package 0.1
done
for name in node-7 node-8; do
	"$build/ctl/rswapctl" genkey $name >"$dir/$name.keys"
done

# --- running ---

# recipe SCRIPT WORD...: what it says goes to $dir/said, what it calls to $dir/calls
recipe() {
	: >"$dir/calls"
	(cd "$dir" && sh "$src/examples/shell/$1" "${@:2}") >"$dir/said" 2>&1
}

says() { # LINE...: these, and no others, after the script's name
	local script=$1
	shift
	printf "$script: %s\n" "$@" | diff - "$dir/said" || fail "it says something else"
}

calls() {
	printf '%s\n' "$@" | diff - "$dir/calls" || fail "it calls something else"
}

nothing_to_do() { # SCRIPT WORD...
	recipe "$@" || fail "$1 again: exit status $?"
	says "$1" "nothing to do"
	[ ! -s "$dir/calls" ] || fail "$1 again: $(cat "$dir/calls")"
}

refuses() { # TEXT SCRIPT WORD...
	! recipe "${@:2}" || fail "no refusal: $1"
	expect_one_line "$dir/said" "$2: $1"
	[ ! -s "$dir/calls" ] || fail "it refuses after: $(cat "$dir/calls")"
}

has_mode() { # MODE PATH
	[ "$(stat -c %a "$root$2")" = "$1" ] || fail "$2: $(stat -c %a "$root$2")"
}

install="apt-get install -y -qq --no-install-recommends --allow-downgrades"
libraries="ibverbs-providers libcurl3-gnutls"
