#!/bin/bash
# Requests, lanes, connections and threads where nobody says otherwise: what the
# code has (common/concurrency.h), attach, the unit, the documents and the bench
# have too.
. "$(dirname "$0")/functions.sh"

read -r requests lanes connections threads < <("$programs/defaults" 2 4096)
read -r requests_one lanes_one _ < <("$programs/defaults" 1 4096)
read -r requests_small _ < <("$programs/defaults" 2 100) # what 128 MB leave
man=$src/docs/man
failed=

# says FILE PATTERN...: each is in the text, whose lines may break anywhere
says() {
	local file=$1 text pattern
	shift
	text=$(tr -s ' \n' ' ' <"$file" | sed 's/[*`]//g; s/ # / /g')
	for pattern; do
		grep -qE -- "$pattern" <<<"$text" && continue
		say "$(basename "$file"): no \"$pattern\""
		failed=yes
	done
}

# says_no_other FILE PATTERN: the numbers of all places that fit are among the
# rest of the words
says_no_other() {
	local file=$1 pattern=$2 found number
	shift 2
	while read -r found; do
		number=$(grep -oE '[0-9]+' <<<"$found" | head -n 1)
		[[ " $* " != *" $number "* ]] || continue
		say "$(basename "$file"): \"$found\", and not $*"
		failed=yes
	done < <(tr -s ' \n' ' ' <"$file" | sed 's/[*`]//g' |
		grep -oE -- "$pattern" || true)
}

says "$src/README.md" "By default there are $lanes lanes" \
	"nbd-client [^#]*-connections $connections "
says "$man/rswapctl.pod" \
	"default: $requests requests at a time \($requests_one on a machine with one processor\)" \
	"which is $lanes, or $lanes_one\." \
	"at most one for each 8 MiB of memory, so $requests_small on a machine of 128 MB" \
	"nbd and the front end, 1 to 16, default $connections\."
for page in rswap-nbd rswap-ublk; do
	says "$man/$page.pod" "C<auto>, the default, is $lanes, and $lanes_one on a machine with one processor"
done
says "$man/nbdkit-rswap-plugin.pod" "threads of two connections" \
	"so $lanes for nbdkit's own default of $threads threads"
[ "$connections" = 2 ] || fail "the manual says two connections"

for file in "$src"/README.md "$src"/docs/*.md "$src"/bench/README.md; do
	says_no_other "$file" "[0-9]+ lanes, the default" "$lanes"
	says_no_other "$file" "default[^.|]{0,20} [0-9]+ lanes" "$lanes" "$lanes_one"
	says_no_other "$file" "[(]-t [0-9]+[)]" "$threads"
done

"$build/ctl/rswapctl" attach --help >"$dir/help"
grep -A2 -e '--connections=' "$dir/help" | tr -s ' \n' ' ' |
	grep -q "default:\? $connections" || {
	say "attach --help: $(grep -A2 -e --connections= "$dir/help")"
	failed=yes
}

# The unit and the bench leave them to attach and to the front end.
for word in lanes connections threads; do
	! grep -hE '^(ExecStart|OPTIONS)=' "$src"/systemd/*@.service.in \
		"$src/systemd/swap0.conf.example" | grep -e "--$word" || {
		say "the unit says $word"
		failed=yes
	}
done
PYTHONPATH=$src/bench /usr/bin/python3 - <<'END' || failed=yes
from lib.local import Bed, words
from lib.options import Options

with Bed() as bed:
    said = bed.rswap_words("name", ["host:1"], "1G", [])
assert words(0) == [], words(0)
assert not [w for w in said if w.startswith(("lanes=", "spin="))], said
defaults = Options("host")
assert not defaults.threads and not defaults.keys, defaults
END

# What runs has them: attach hands nbdkit as many threads, and the plugin as many
# lanes (ctl/nbdkit-attach-detach starts it).
read -r _ here_lanes _ < <("$programs/defaults")
start_server s --memory=64M --slab-size=1M
for front in nbdkit nbd; do
	start_plugin p "$(server s)" size=16M
	expect_value p lanes -eq "$here_lanes"
	stop p
done
[ -z "$failed" ] || fail "defaults differ from those of the code"
