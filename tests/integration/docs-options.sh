#!/bin/bash
# The options in --help are those in the man pages, both ways.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
build=${RSWAP_BUILD:-$src/build}
man=$src/docs/man
ctl=$build/ctl/rswapctl
memserver=$build/memserver/rswap-memserver
plugin=$build/plugin/nbdkit-rswap-plugin.so
failed=0

# "  --size=SIZE  ..." at the start of a line
help_options() {
	sed -nE 's/^ *--([a-z][a-z-]*).*/\1/p' | sort -u
}

# =item B<--size>=I<SIZE>
man_options() {
	sed -nE 's/^=item B<--([a-z][a-z-]*)>.*/\1/p' | sort -u
}

# The lines of a page between a heading and the next one.
section() { # PAGE HEADING
	awk -v heading="$2" '
		/^=head[12] / { inside = ($0 == heading); next }
		inside' "$man/$1.pod"
}

compare() { # WHAT HELP MAN
	if [ -z "$2" ]; then
		echo "$1: --help shows no options"
		failed=1
	elif ! diff <(echo "$2") <(echo "$3"); then
		echo "$1: --help (<) and the man page (>) differ"
		failed=1
	fi
}

# "  attach     swap to ..."
commands=$("$ctl" --help | sed -nE 's/^  ([a-z]+) .*/\1/p')
[ "$(wc -w <<<"$commands")" -ge 15 ] || {
	echo "rswapctl --help is not understood: $commands"
	exit 1
}
compare "rswapctl" "$("$ctl" --help | help_options)" \
	"$(section rswapctl '=head1 OPTIONS' | man_options)"
for command in $commands; do
	compare "rswapctl $command" \
		"$("$ctl" "$command" --help | help_options)" \
		"$(section rswapctl "=head2 $command" | man_options)"
done

compare "rswap-memserver" "$("$memserver" --help | help_options)" \
	"$(man_options <"$man/rswap-memserver.pod")"

compare "rswap-nbd" "$("$build/plugin/rswap-nbd" --help | help_options)" \
	"$(man_options <"$man/rswap-nbd.pod")"

compare "rswap-ublk" "$("$build/plugin/rswap-ublk" --help | help_options)" \
	"$(man_options <"$man/rswap-ublk.pod")"

# "server=HOST[:PORT]  ..." and =item B<server=>I<HOST[:PORT]>
help_keys() {
	nbdkit "$plugin" --help | sed -nE 's/^ *([a-z-]+)=.*/\1/p' | sort -u
}
compare "nbdkit-rswap-plugin" "$(help_keys)" \
	"$(sed -nE 's/^=item B<([a-z-]+)=>.*/\1/p' \
		"$man/nbdkit-rswap-plugin.pod" | sort -u)"
for front in rswap-nbd rswap-ublk; do
	compare "keys of $front" \
		"$("$build/plugin/$front" --help | sed -nE 's/^([a-z-]+)=.*/\1/p' | sort -u)" \
		"$(help_keys)"
done
for key in $(help_keys); do
	section nbdkit-rswap-plugin '=head1 SYNOPSIS' | grep -e "\<$key=" >/dev/null && continue
	# [server=]HOST[:PORT]
	section nbdkit-rswap-plugin '=head1 SYNOPSIS' | grep -F "[$key=]" >/dev/null && continue
	echo "nbdkit-rswap-plugin(1): $key= isn't in the synopsis"
	failed=1
done

# Those that take a number or a size: "x" is neither, so nothing is started.
number_options() {
	sed -nE 's/^ *--([a-z][a-z-]*)=(N|SIZE|SECONDS)\>.*/\1/p' | sort -u
}

# The text of an item.
item() { # "--lanes"
	awk -v start="=item B<$1>" '
		/^=item / { inside = index($0, start) == 1; next }
		/^=/ && !/^=over|^=back/ { inside = 0 }
		inside' | tr '\n' ' '
}

# The range that a wrong value is told of stands in --help and in the manual.
range() { # "lanes=", where the manual has it on standard input, MESSAGE, HELP
	local from_to manual
	manual=$(item "$1")
	from_to=$(grep -oE '[0-9]+[KMGT]? to [0-9]+[KMGT]?' <<<"$2") || return 0
	for where in "$manual" "$3"; do
		[[ $(tr -s ' \n' ' ' <<<"$where") == *"$from_to"* ]] && continue
		echo "$1: $from_to isn't in: $where"
		failed=1
	done
}

# The lines of --help that tell of an option.
option_help() { # "lanes"
	awk -v start="--$1=" '
		/^ *--/ { inside = index($1, start) == 1 }
		inside'
}

for option in $("$memserver" --help | number_options); do
	said=$(timeout 10 "$memserver" --memory=1G --"$option"=x 2>&1) || true
	range "--$option" "$said" "$("$memserver" --help)" \
		<"$man/rswap-memserver.pod"
done
for option in $("$ctl" attach --help | number_options); do
	said=$(timeout 10 "$ctl" attach host --size=1G --"$option"=x 2>&1) || true
	range "--$option" "$said" \
		"$("$ctl" attach --help | option_help "$option")" \
		< <(section rswapctl "=head2 attach")
done
for key in $(nbdkit "$plugin" --help |
	sed -nE 's/^ *([a-z-]+)=(\S*\|)?(N|SIZE|SECONDS|MICROSECONDS) .*/\1/p'); do
	said=$(timeout 10 nbdkit "$plugin" server=localhost size=1G \
		"$key=x" 2>&1) || true
	range "$key=" "$said" "$(nbdkit "$plugin" --help)" \
		<"$man/nbdkit-rswap-plugin.pod"
done

# and all that is documented is also in the commands' synopses
for command in $commands; do
	for option in $(section rswapctl "=head2 $command" | man_options); do
		[ "$option" = help ] && continue
		if ! section rswapctl '=head1 SYNOPSIS' |
			grep -q -e "--$option\>"; then
			echo "rswapctl(8): --$option isn't in the synopsis"
			failed=1
		fi
	done
done

exit "$failed"
