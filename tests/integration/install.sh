#!/bin/bash
# cmake --install puts everything where it belongs: with the prefix /usr where
# nbdkit and systemd look, with another prefix nowhere else than there, and what
# is installed finds itself.
. "$(dirname "$0")/functions.sh"

requires cmake --version
[ -z "$sanitizer" ] || skip "nobody installs a sanitized build"

# install_to ROOT OPTION...: the list of files that it leaves in the build
# directory isn't wanted
install_to() {
	local root=$1
	shift
	DESTDIR=$root cmake --install "$build" "$@" >>"$dir/install.log"
}

# found PATH: the only file of this name below $root
found() {
	local files
	files=$(find "$root" -name "${1##*/}" -type f)
	[ "$files" = "$root$1" ] ||
		fail "wanted $1, got \"$files\" in: $(find "$root" -type f)"
}

# A prefix with all below it; the plugin and units in directories of their own.
found_all() { # PREFIX PLUGIN-DIRECTORY UNIT-DIRECTORY
	local unit page file
	found "$2/nbdkit-rswap-plugin.so"
	found "$1/sbin/rswap-memserver"
	found "$1/sbin/rswap-nbd"
	readelf -d "$root$1/sbin/rswap-nbd" | grep 'Flags:.*NOW' >/dev/null ||
		fail "rswap-nbd calls the dynamic linker while it serves"
	found "$1/sbin/rswap-ublk"
	found "$1/sbin/rswapctl"
	found "$1/share/man/man1/nbdkit-rswap-plugin.1"
	found "$1/share/man/man8/rswap-memserver.8"
	found "$1/share/man/man8/rswap-nbd.8"
	found "$1/share/man/man8/rswap-ublk.8"
	found "$1/share/man/man8/rswapctl.8"
	found "$1/share/man/man7/rswap-findings.7"
	found "$1/share/man/man7/rswap.7"
	for page in quickstart sizing tiers timeouts troubleshooting boot-and-shutdown tuning kubernetes; do
		found "$1/share/doc/rswap/$page.md"
	done
	found "$1/share/rswap/examples/kubernetes/base/memserver.yaml"
	found "$1/share/rswap/examples/shell/memory-server.sh"
	[ -x "$root$1/share/rswap/examples/shell/memory-server.sh" ] ||
		fail "memory-server.sh cannot be run"
	found "$1/share/bash-completion/completions/rswapctl.bash"
	found "$1/share/rswap/monitoring/alerts.yml"
	found "$1/share/rswap/monitoring/dashboard.json"
	for file in rswap-memserver.conf rswap-tools.conf; do
		found "$(dirname "$(dirname "$3")")/tmpfiles.d/$file"
		grep -qx "d /etc/rswap 0700 root root -" "$root$(dirname "$(dirname "$3")")/tmpfiles.d/$file" ||
			fail "$file"
		# the directory that the documentation names for --pool-state
		state=$(grep -oh 'pool-state=/[^ ,`)]*' "$src/systemd/swap0.conf.example" "$src/docs/pool.md" |
			sed 's,.*=,,; s,/[^/]*$,,' | sort -u)
		grep -qx "d $state 0700 root root -" "$root$(dirname "$(dirname "$3")")/tmpfiles.d/$file" ||
			fail "$file does not make $state"
	done
	found "$(dirname "$(dirname "$3")")/udev/rules.d/90-rswap.rules"
	for unit in rswap-memserver.service rswap@.service; do
		found "$3/$unit"
		grep -q "^ExecStart=$1/sbin/rswap" "$root$3/$unit" ||
			fail "$unit has: $(grep ^Exec "$root$3/$unit")"
		# nothing of the template, nor of the configured prefix
		! grep -v '^#' "$root$3/$unit" | grep '@[a-zA-Z_]*@' >/dev/null ||
			fail "$unit isn't filled in"
		# all of ours, but for what sends a signal or removes a file
		! grep '^Exec' "$root$3/$unit" |
			grep -v -e "^Exec[A-Za-z]*=-\?$1/sbin/" \
				-e "^Exec[A-Za-z]*=+$1/libexec/rswap/" \
				-e '^ExecStopPost=+/bin/rm -f ' \
				-e '^ExecReload=/bin/kill -HUP \$MAINPID$' ||
			fail "$unit has: $(grep ^Exec "$root$3/$unit")"
	done
}

plugin_dir=$(pkg-config --variable=plugindir nbdkit)
# On Debian 13 systemd.pc is in a package that nothing else needs.
unit_dir=$(pkg-config --variable=systemdsystemunitdir systemd) ||
	unit_dir=/usr/lib/systemd/system

root=$dir/system
install_to "$root" --prefix /usr
found_all /usr "$plugin_dir" "$unit_dir"

root=$dir/local
install_to "$root" --prefix /usr/local
found_all /usr/local "$plugin_dir" /usr/local/lib/systemd/system

# staged below another prefix
root=$dir/staged
install_to "$root" --prefix /opt/rswap
found_all /opt/rswap /opt/rswap/lib/nbdkit/plugins \
	/opt/rswap/lib/systemd/system
[ "$(ls "$root")" = opt ] || fail "outside of the prefix: $(ls "$root")"

# and in a prefix for real: the parts find each other
root=
touch "$dir/start"
prefix=$dir/prefix
install_to "" --prefix "$prefix"
[ -z "$(find "$plugin_dir" -name 'nbdkit-rswap*' -cnewer "$dir/start")" ] ||
	fail "it put the plugin into nbdkit's directory"
installed=$prefix/lib/nbdkit/plugins/nbdkit-rswap-plugin.so
nbdkit "$installed" --dump-plugin | grep -qx name=rswap ||
	fail "nbdkit does not take the installed plugin"
"$prefix/sbin/rswap-memserver" --version | grep -q rswap-memserver ||
	fail "the installed server does not run"
(unset RSWAP_PLUGIN; "$prefix/sbin/rswapctl" doctor --front=nbdkit) \
	>"$dir/doctor" || true
expect_line "$dir/doctor" ok plugin "$installed"
"$prefix/sbin/rswapctl" doctor >"$dir/doctor" || true
expect_line "$dir/doctor" ok rswap-nbd "$prefix/sbin/rswap-nbd, version"
