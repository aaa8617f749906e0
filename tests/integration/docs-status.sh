#!/bin/bash
# What the control sockets answer is what the man pages say: each member is there,
# with its type, and none is missing but those that are optional.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

# members_told FILE: "path type" of each member of an answer, [] for a number
members_told() {
	perl -MJSON::PP -e '
		sub walk {
			my ($path, $v) = @_;
			my $dot = length $path ? "$path." : "";
			if (ref $v eq "HASH") { walk("$dot$_", $v->{$_}) for keys %$v }
			elsif (ref $v eq "ARRAY") { walk("${path}[]", $_) for @$v }
			elsif (!defined $v) { print "$path null\n" }
			elsif (JSON::PP::is_bool($v)) { print "$path boolean\n" }
			else {
				my $text = encode_json([$v]) =~ /^\["/;
				my $type = $text ? "text" : $v =~ /\./ ? "real" : "integer";
				print "$path $type\n";
			}
		}
		local $/;
		walk("", decode_json(<STDIN>))' <"$1" | sort -u
}

# members_documented POD: "path type optional-or-not"
members_documented() {
	perl -ne '
		$in = /CONTROL SOCKET/ if /^=head1/;
		next unless $in && s/^=item //;
		while (/\G([\w.\[\]]+)(?: \(([^)]*)\))?(?:, |\s*$)/gc) {
			my ($path, $says) = ($1, $2 // "");
			my $optional = $says =~ s/(, )?optional// ? "optional" : "always";
			$says =~ s/ or /|/g;
			print "$path ", $says || "integer", " $optional\n";
		}
		warn "$ARGV: not understood: $_" if pos() && pos() < length;
	' "$src/docs/man/$1" | sort -u
}

# compare POD ANSWER...: all answers together
compare() {
	local pod=$1 wrong
	shift
	members_documented "$pod" >"$dir/documented"
	for answer; do members_told "$answer"; done | sort -u >"$dir/told"
	wrong=$(awk '
		NR == FNR { types[$1] = $2; optional[$1] = $3 == "optional"; next }
		{ told[$1] = 1 }
		!($1 in types) { print $1 " is not documented"; next }
		index("|" types[$1] "|", "|" $2 "|") == 0 {
			print $1 " is " $2 ", documented as " types[$1]
		}
		END {
			for (path in types)
				if (!(path in told) && !optional[path])
					print path " is documented and not told"
		}' "$dir/documented" "$dir/told")
	[ -z "$wrong" ] || fail "$pod: $wrong"
	[ "$(wc -l <"$dir/documented")" -gt 30 ] || fail "$pod: what does it say?"
}

key=$(printf '%064d' 7)
(umask 077 && echo "alpha:$key" >"$dir/keys")
echo "alpha memory=32M" >"$dir/tenants"
start_server a --memory=64M --slab-size=1M --zone=rack-7 --psk-file="$dir/keys" \
	--tenants="$dir/tenants"
start_server b --memory=64M --slab-size=1M --psk-file="$dir/keys"
start_plugin p "$(server a)" "$(server b)" size=16M psk-file="$dir/keys" replicas=2
expect_req p ok write:0:4M:3
req p scan:0:4M >/dev/null
tell p status >"$dir/plugin"
tell a status >"$dir/serving"
"$build/ctl/rswapctl" drain --control="$dir/a.ctl" >/dev/null
tell a status >"$dir/draining"
asks_for_all() { [ "$(value p servers.0.release_slabs)" = all ]; }
expect 10 asks_for_all
tell p status >"$dir/asked"
compare nbdkit-rswap-plugin.pod "$dir/plugin" "$dir/asked"
compare rswap-memserver.pod "$dir/serving" "$dir/draining"

say "with a pool: each of its members is there, at last those that tell of errors"
start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
start_server c --memory=64M --slab-size=1M --pool="$pool"
expect 20 registered 1
start_plugin q pool="$pool" pool-reserve=all size=8M encrypt=off checksum=off
expect 20 is c pool.writes -ge 1
tell q status >"$dir/held"
tell c status >"$dir/registered"
stop e KILL || true
has_error() { ask "$1" | grep -q "^pool\.$2 "; }
for at in "c error" "q error" "q reserve_error"; do
	read -ra words <<<"$at"
	expect 60 has_error "${words[@]}"
done
tell q status >"$dir/lost"
tell c status >"$dir/away"
compare_pool() { # POD ANSWER...
	compare "$@"
	diff <(grep -o '^pool\.[a-z_]*' "$dir/documented") <(grep -o '^pool\.[a-z_]*' "$dir/told") ||
		fail "$1: what is documented of the pool (<) and what is told (>) differ"
}
compare_pool nbdkit-rswap-plugin.pod "$dir/plugin" "$dir/held" "$dir/lost"
compare_pool rswap-memserver.pod "$dir/serving" "$dir/draining" "$dir/registered" "$dir/away"

say "an answer to a wrong command is an error"
[ "$(tell p dance)" = '{"error":"unknown command"}' ] || fail "$(tell p dance)"
wrong='{"error":"device: allowed is the path of a block device, as /dev/nbd0"}'
for word in nbd0 /dev/ /dev/mapper/x "/dev/nbd0 x" /dev/aaaaaaaaaaaaaaaaaaaaaaaaaaa; do
	[ "$(tell p "device $word")" = "$wrong" ] || fail "$word: $(tell p "device $word")"
done
! ask p | grep -q ^device || fail "it tells of a device"
[ "$(tell p "device /dev/nbd15")" = '{"device":"/dev/nbd15"}' ] || fail "$(tell p "device /dev/nbd15")"
[ "$(value p device)" = /dev/nbd15 ] || fail "$(ask p)"
[ "$(tell a dance)" = '{"error":"unknown command"}' ] || fail "$(tell a dance)"

say "each word of an event is in the manual"
sed -n 's/^\t\[EVENT_.*\] = "\(.*\)",/\1/p' "$src/common/events.c" | sort >"$dir/words"
[ "$(wc -l <"$dir/words")" -gt 15 ] || fail "no words: $(cat "$dir/words")"
pod2text "$src/docs/man/rswapctl.pod" | tr '\n' ' ' >"$dir/manual"
while read -r word; do
	has "$dir/manual" "\"$word\"" || fail "rswapctl(8) lacks $word"
done <"$dir/words"
