#!/bin/bash
# cmake --install puts everything where it belongs.
. "$(dirname "$0")/functions.sh"

requires cmake --version
[ -z "$sanitizer" ] || skip "nobody installs a sanitized build"
# the list of files that it leaves in the build directory isn't wanted
DESTDIR=$dir/root cmake --install "$build" >"$dir/install.log"
cd "$dir/root"

found() { # PATTERN: exactly one file
	local n
	n=$(find . -path "$1" -type f | wc -l)
	[ "$n" = 1 ] || fail "$n files $1 in: $(find . -type f)"
}

plugin_dir=$(pkg-config --variable=plugindir nbdkit)
found ".$plugin_dir/nbdkit-rswap-plugin.so"
found './*/sbin/rswap-memserver'
found './*/sbin/rswapctl'
found './*/man/man1/nbdkit-rswap-plugin.1'
found './*/man/man8/rswap-memserver.8'
found './*/man/man8/rswapctl.8'
found './*/systemd/system/rswap-memserver.service'
found './*/systemd/system/rswap@.service'
nbdkit ".$plugin_dir/nbdkit-rswap-plugin.so" --dump-plugin |
	grep -qx name=rswap || fail "nbdkit does not take the installed plugin"
"$(find . -path './*/sbin/rswap-memserver')" --version |
	grep -q rswap-memserver || fail "the installed server does not run"
"$(find . -path './*/sbin/rswapctl')" --version >/dev/null
