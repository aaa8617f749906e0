#!/bin/bash
# A name with several addresses: the server listens at all of them, and the
# plugin and rswapctl doctor come through where only one of them answers.
#
# The names are in a hosts file that only this test sees.
if [ -z "${RSWAP_OWN_HOSTS:-}" ]; then
	unshare -m true 2>/dev/null || {
		echo "$(basename "$0"): skipped: needs a mount namespace"
		exit 77
	}
	RSWAP_OWN_HOSTS=1 exec unshare -m bash "$0" "$@"
fi
. "$(dirname "$0")/functions.sh"

cat /etc/hosts >"$dir/hosts"
cat >>"$dir/hosts" <<-END
	127.0.0.2 twin
	127.0.0.3 twin
	::1 dual
	127.0.0.1 dual
	192.0.2.1 partly
	127.0.0.1 partly
	192.0.2.1 absent
END
mount --bind "$dir/hosts" /etc/hosts
[ "$(getent ahostsv4 twin | awk '$2 == "STREAM"' | wc -l)" = 2 ] ||
	skip "a name in /etc/hosts has one address only"

ctl=$build/ctl/rswapctl

# serve NAME HOST[:PORT] [OPTION...]: sets port[NAME]
serve() {
	local name=$1 listen=$2
	shift 2
	rm -f "$dir/$name.port"
	"$memserver" --memory=64M --slab-size=1M --transport=tcp --grace=20 \
		--listen="$listen" --port-file="$dir/$name.port" \
		--control="$dir/$name.ctl" --allow-unauthenticated "$@" \
		>>"$dir/$name.log" 2>&1 &
	pid[$name]=$!
	expect 10 test -s "$dir/$name.port"
	port[$name]=$(head -n 1 "$dir/$name.port")
}

# swaps NAME SERVER [KEY=VALUE...]: a plugin comes through to SERVER, and ends
swaps() {
	start_plugin "$@" size=8M lanes=2
	expect_req "$1" ok write:0:4096:3
	expect_req "$1" ok "check:0:4096:3"
	stop "$1" || fail "$1: exit status $?"
}

doctor_reaches() { # SERVER
	"$ctl" doctor "$1" >"$dir/doctor" 2>&1 || true
	grep -F "$1" "$dir/doctor" | grep -F "memory server, protocol" >/dev/null ||
		fail "doctor $1: $(cat "$dir/doctor")"
}

# --- one of two answers ---

for address in 127.0.0.2 127.0.0.3; do
	serve s "$address:0"
	swaps p "twin:${port[s]}"
	doctor_reaches "twin:${port[s]}"
	stop s || fail "s: exit status $?"
	say "twin, where only $address answers"
done

# --- one of two does not offer the transport ---

first=$(getent ahostsv4 twin | awk '$2 == "STREAM" { print $1; exit }')
second=127.0.0.$((5 - ${first##*.}))
serve s "$second:0"
perl "$(dirname "$0")/fake-server.pl" rdma "$first" "${port[s]}" \
	>"$dir/fake.port" 2>"$dir/fake.log" &
pid[fake]=$!
expect 10 test -s "$dir/fake.port"
swaps p "twin:${port[s]}" transport=tcp
say "twin, where $first has no TCP"
stop fake KILL || true
stop s || fail "s: exit status $?"

# --- all are listened at ---

serve t twin:0
[ "$(wc -l <"$dir/t.port")" = 1 ] || fail "not one port for one --listen"
swaps q "127.0.0.2:${port[t]}"
swaps q "127.0.0.3:${port[t]}"
expect_line "$dir/t.log" "listening on 127.0.0.2:${port[t]}"
expect_line "$dir/t.log" "listening on 127.0.0.3:${port[t]}"
stop t || fail "t: exit status $?"

if ip -6 address show dev lo 2>/dev/null | grep -qw ::1/128; then
	serve d dual:0
	swaps q "127.0.0.1:${port[d]}"
	swaps q "[::1]:${port[d]}"
	swaps q "dual:${port[d]}"
	stop d || fail "d: exit status $?"
	serve d "127.0.0.1:0"
	swaps q "dual:${port[d]}"
	stop d || fail "d: exit status $?"
fi

# --- an address that is not this machine's ---

serve h partly:0
expect_line "$dir/h.log" "--listen=partly" "1 of its 2 addresses"
swaps q "127.0.0.1:${port[h]}"
stop h || fail "h: exit status $?"
status=0
timeout -s KILL 30 "$memserver" --memory=64M --listen=absent:0 \
	--transport=tcp --allow-unauthenticated >"$dir/out" 2>"$dir/err" ||
	status=$?
[ "$status" = 1 ] || fail "an absent address only: exit status $status"
expect_one_line "$dir/err" "--listen=absent" "192.0.2.1"

# --- a session is taken up again at another address ---

proxy_at() { # ADDRESS
	exec perl -MIO::Select -MIO::Socket::INET -e '
		my ($at, $port) = @ARGV;
		my $l = IO::Socket::INET->new(LocalAddr => $at, LocalPort => $port,
			Listen => 64, ReuseAddr => 1) or die "$at:$port: $!\n";
		$| = 1;
		print "there\n";
		my ($all, %peer) = IO::Select->new($l);
		while (my @ready = $all->can_read) {
			for my $s (@ready) {
				if ($s == $l) {
					my $in = $l->accept or next;
					my $out = IO::Socket::INET->new(
						PeerAddr => "127.0.0.1",
						PeerPort => $port) or next;
					@peer{$in, $out} = ($out, $in);
					$all->add($in, $out);
				} elsif ($peer{$s} && sysread($s, my $bytes, 65536)) {
					syswrite $peer{$s}, $bytes;
				} elsif (my $other = delete $peer{$s}) {
					delete $peer{$other};
					$all->remove($s, $other);
					close $_ for $s, $other;
				}
			}
		}' "$1" "${port[r]}" >"$dir/proxy.$1"
}

serve r 127.0.0.1:0
for address in 127.0.0.2 127.0.0.3; do
	proxy_at "$address" 2>>"$dir/proxy.log" &
	pid[proxy.$address]=$!
	expect 10 test -s "$dir/proxy.$address"
done
start_plugin p "twin:${port[r]}" size=8M lanes=2 timeout=40
expect_req p ok write:0:4096:3
say "the way over $first ends"
stop "proxy.$first" KILL || true
expect_req p ok "check:0:4096:3"
expect 10 has "$dir/p.log" "session resumed"
expect_value p servers.0.reconnects -eq 0
expect_value p pages_lost_ever -eq 0
stop p || fail "p: exit status $?"
for address in 127.0.0.2 127.0.0.3; do
	[ -z "${pid[proxy.$address]:-}" ] || stop "proxy.$address" KILL || true
done
