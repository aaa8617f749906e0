#!/bin/bash
# What a memory server, the network and the fallback's disk learn of sealed pages,
# and that no answer of a lying server is taken for a page.  The same without
# encryption, where the test has to find all of it.
. "$(dirname "$0")/functions.sh"

# A page is known by what content.h writes at its beginning.

# file_has FILE STAMP PAGE
file_has() {
	perl -e '
		my ($file, @marker) = @ARGV;
		open my $in, "<:raw", $file or die "$file: $!";
		local $/;
		exit(index(<$in>, pack "Q<Q<", @marker) < 0)' "$@"
}

# memory_has NAME STAMP PAGE: a process, in what it may write to
memory_has() {
	perl -e '
		my ($pid, @marker) = @ARGV;
		my $marker = pack "Q<Q<", @marker;
		my $found = 0;
		open my $maps, "<", "/proc/$pid/maps" or die "maps: $!";
		open my $mem, "<:raw", "/proc/$pid/mem" or die "mem: $!";
		while (<$maps>) {
			my ($from, $to) = /^([0-9a-f]+)-([0-9a-f]+) rw/ or next;
			my ($at, $end) = (hex $from, hex $to);
			next if $end - $at > 1 << 28; # a sanitizer maps terabytes
			for (; $at < $end; $at += 1 << 20) {
				my $n = $end - $at < 1 << 20 ? $end - $at : 1 << 20;
				sysseek $mem, $at, 0 or next;
				sysread $mem, my $bytes, $n or next;
				$found++ if index($bytes, $marker) >= 0;
			}
		}
		exit($found ? 0 : 1)' "${pid[$1]}" "$2" "$3"
}

start_server t --memory=64M --slab-size=1M
requires perl -e 'open my $mem, "<", "/proc/$ARGV[0]/mem" or exit 1' "${pid[t]}"

# Unlike any number that is there anyway.
stamp=1234567890123456779

# Pages of two slabs go to the server, over a network that is listened to, and the
# others to the fallback.
writes_pages() { # ENCRYPT: sets has, which names what knows a page
	start_server s --memory=2M --slab-size=1M
	export CAPTURE=$dir/capture
	network net s
	unset CAPTURE
	start_plugin p "$(server net)" size=4M encrypt="$1" fallback="$dir/spill"
	grep -qE '^Max core file size +0 +0 ' "/proc/${pid[p]}/limits" ||
		fail "a core dump would have the key"
	expect_req p ok write:0:4M:$stamp
	expect_value p servers.0.slabs -eq 2
	expect_req p "stamp $stamp" read:0:4M
	has_it=
	for page in 0 7 100 200 700 900; do
		! memory_has s $stamp "$page" || has_it+=" memory"
		! file_has "$dir/capture" $stamp "$page" || has_it+=" network"
		! file_has "$dir/spill" $stamp "$page" || has_it+=" fallback"
	done
	stop p
	stop net || true # by a signal
	stop s
	rm "$dir/capture" "$dir/spill"
}

writes_pages off
for place in memory network fallback; do
	[[ $has_it = *$place* ]] || fail "without encryption, the $place has no page"
done
writes_pages on
[ -z "$has_it" ] || fail "the page can be read in:$has_it"

say "a server that lies"
lies() { # WORD
	echo "$1" >"$dir/lie"
}
start_liar() { # UNIT-BYTES
	lies truth
	rm -f "$dir/liar.port"
	perl "$here/lying-server.pl" "$1" "$dir/lie" >"$dir/liar.port" \
		2>>"$dir/liar.log" &
	pid[liar]=$!
	expect 5 test -s "$dir/liar.port"
	port[liar]=$(cat "$dir/liar.port")
}
end_liar() {
	stop p
	stop liar || true
}
kinds="flip zeros old swap other"

start_liar 4096
start_plugin p "$(server liar)" size=16M encrypt=off checksum=off
for kind in $kinds; do
	expect_req p ok write:0:128K:11
	expect_req p ok write:0:128K:12
	lies $kind
	expect_req p different check:20K:4K:12
	lies truth
	expect_req p ok check:20K:4K:12
done
end_liar

# It is the only server: an error, until the page is written again.
start_liar 4112
start_plugin p "$(server liar)" size=16M encrypt=on
for kind in $kinds; do
	expect_req p ok write:0:128K:11
	expect_req p ok write:0:128K:12
	lies $kind
	expect_req p EIO read:20K:4K
	expect_req p EIO read:64K:16K
	lies truth
	expect_req p EIO read:20K:4K
	expect_req p ok write:0:128K:19
	expect_req p "stamp 19" read:0:128K
	expect_value p pages_lost -eq 0
done
end_liar

# Another server has a copy.
start_liar 4112
start_plugin p "$(server liar)" "$(server t)" size=16M encrypt=on replicas=2
for kind in $kinds; do
	expect_req p ok write:0:128K:11
	expect_req p ok write:0:128K:12
	wrong=$(value p servers.0.wrong_chunks)
	lies $kind
	is_asked() {
		expect_req p "stamp 12" read:0:128K
		expect_req p "stamp 12 x32" scan:0:128K
		is p servers.0.wrong_chunks -gt "$wrong"
	}
	expect 20 is_asked
	lies truth
done

say "a scrub finds each lie, though no request reads the page, and writes it anew"
scrub() { # its exit status
	local status=0
	"$build/ctl/rswapctl" scrub "$dir/p.ctl" --wait >"$dir/said" 2>&1 || status=$?
	echo "$status"
}
for kind in $kinds; do
	expect_req p ok write:0:128K:11
	expect_req p ok write:0:128K:12
	expect 20 is p pages_stale -eq 0
	lies $kind
	[ "$(scrub)" = 2 ] || fail "$kind: $(cat "$dir/said")"
	expect_line "$dir/said" "32 of 32 pages" "32 wrong, 0 lost, 0 unread"
	lies truth
	expect 20 is p pages_stale -eq 0
	[ "$(scrub)" = 0 ] || fail "$kind, mended: $(cat "$dir/said")"
done
expect_value p errors -eq 0
expect_value p pages_lost_ever -eq 0
end_liar
