#!/bin/bash
# A device starts with a pool of 1,000 servers in a real etcd: it uses as many as it may,
# in other zones, gets its slabs there, and is connected to these alone.  A few servers
# are real.  First each of the 1,000 is one of these by another of its addresses, and so
# has room and answers.  Then all others are full, drain, or are silent.
if [ -z "${RSWAP_NETWORK:-}" ]; then
	unshare --net true 2>/dev/null || {
		echo "$(basename "$0"): skipped: needs a network namespace (root)"
		exit 77
	}
	RSWAP_NETWORK=1 exec unshare --net "$BASH" "$0" "$@" # where all of 127.0.0.0/8 is ours
fi
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"
ip link set lo up

real=(s0 s1 s2 s3 s4)

memory() { # NAME: at all addresses of this machine
	port[$1]=$((10900 + ${1#s}))
	"$memserver" --memory=64M --slab-size=1M --grace=5 --transport=tcp --zone="z$1" \
		--listen="0.0.0.0:${port[$1]}" --allow-unauthenticated --control="$dir/$1.ctl" \
		--pool="$pool" --pool-address="$(server "$1")" >>"$dir/$1.log" 2>&1 &
	pid[$1]=$!
}
key_of() { # NAME: what it says of itself in etcd
	etcd_do e get "/rswap/1/blue/servers/$(server "$1")" --print-value-only
}
# Each line of standard input is an address and what a server there says of itself.
register() {
	local part
	split --lines=100 - "$dir/part."
	for part in "$dir"/part.*; do
		perl -MMIME::Base64 -ne '
			my ($address, $value) = /^(\S+) (.*)$/;
			print $. > 1 ? "," : q({"success":[);
			printf q({"request_put":{"key":"%s","value":"%s"}}),
				map { encode_base64($_, "") } "/rswap/1/blue/servers/$address", $value;
			END { print "]}" }' "$part" |
			curl -fsS --data-binary @- "http://127.0.0.1:${port[e]}/v3/kv/txn" >/dev/null
	done
	rm "$dir"/part.*
}
# alias_of NAME FROM TO PORT [SED-SCRIPT]: lines for register, of servers 127.0.X.Y:PORT with
# numbers from FROM to TO, which say what NAME says, but for what the script changes
alias_of() {
	local value i
	value=$(key_of "$1" | sed "${5:-}")
	for ((i = $2; i <= $3; i++)); do
		echo "127.0.$((100 + i / 250)).$((1 + i % 250)):$4" \
			"${value/$(server "$1")/127.0.$((100 + i / 250)).$((1 + i % 250)):$4}"
	done
}
# How many connections are made to its port, by any of its addresses.
connections() { # NAME
	ss -Htn state established "dport = :${port[$1]}" | grep -c . || true
}
connected() { # NAME N
	[ "$(connections "$1")" = "$2" ]
}
slabs_of() { # NAME: as the server says
	value "$1" slabs_used
}
# Which real servers the device uses, a name for each server of it.
uses() { # DEVICE
	local address
	for address in $(ask "$1" | sed -n 's/^servers\.[0-9]*\.address //p'); do
		echo "s$((${address##*:} - 10900))"
	done | sort
}
# p has slabs on each server that it uses, and has connections to these alone.
expect_used() { # NAME...
	local name slabs=0
	for name in "${real[@]}"; do
		if [[ " $* " = *" $name "* ]]; then
			[ "$(slabs_of $name)" -gt 2 ] || fail "$name has $(slabs_of $name) slabs"
			expect_value $name sessions -eq 1
			# and one for control
			expect 10 connected $name $(($(tcp_connections 4) + 1))
		else
			expect_value $name slabs_used -eq 0
			expect_value $name sessions -eq 0
			expect 10 connected $name 0
		fi
		slabs=$((slabs + $(slabs_of $name)))
	done
	expect_value p slabs -eq "$slabs"
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
for name in "${real[@]}"; do
	memory $name
done
expect 20 registered 5

say "1,000 servers with room, of which each answers"
for name in "${real[@]}"; do
	alias_of $name $((${name#s} * 199)) $((${name#s} * 199 + 198)) "${port[$name]}"
done | register
registered 1000 || fail "not 1,000 servers"
start_plugin p pool="$pool" servers-max=4 size=48M timeout=60 lanes=4
expect_value p pool.registered -eq 1000
expect_value p pool.serving -eq 1000
expect 20 is p pool.used -eq 4
mapfile -t used < <(uses p)
[ "$(printf '%s\n' "${used[@]}" | uniq | wc -l)" = 4 ] || fail "not four servers: ${used[*]}"
expect_req p ok write:0:24M:4
expect_req p ok write:24M:24M:5
expect_req p ok check:0:24M:4
expect_req p ok check:24M:24M:5
expect_used "${used[@]}"
expect_value p errors -eq 0
stop p
for name in "${real[@]}"; do
	expect 10 connected $name 0
done

say "1,000 servers, of which five are real"
etcd_do e del --prefix /rswap/1/blue/servers/127.0.1 >/dev/null
registered 5 || fail "not five servers"
# The others listen, and tell who is connected to.
perl -MIO::Socket::INET -e '
	my $s = IO::Socket::INET->new(Listen => 100, LocalAddr => "0.0.0.0", LocalPort => 10909,
		ReuseAddr => 1) or die;
	$| = 1;
	print "listens\n";
	while (my $c = $s->accept) { print $c->sockhost, "\n"; push @all, $c }' >"$dir/asked.log" &
pid[others]=$!
expect 10 has "$dir/asked.log" listens
{
	alias_of s0 0 26 10909 # silent, with room: with the real ones, as many as are asked at most
	alias_of s1 27 600 10909 's/"free_bytes":[0-9]*/"free_bytes":0/'
	alias_of s2 601 900 10909 's/"serving"/"draining"/; s/"free_bytes":[0-9]*/"free_bytes":0/'
	alias_of s3 901 994 10909 's/"slab_bytes":[0-9]*/"slab_bytes":4194304/; s/"free_bytes":[0-9]*/"free_bytes":0/'
} | register
registered 1000 || fail "not 1,000 servers"
# They have two seconds to answer, which a busy machine may not give them: once more.
for attempt in 1 2 3 4 5; do
	start_plugin p pool="$pool" size=48M timeout=60 lanes=4
	! wait_for 5 has "$dir/p.log" "serving 48M from 5 servers" || break
	[ "$attempt" -lt 5 ] || fail "it does not use the servers with room"
	stop p
done
expect_value p pool.registered -eq 1000
expect_req p ok write:0:24M:4
expect_req p ok write:24M:24M:5
expect_req p ok check:0:24M:4
expect_req p ok check:24M:24M:5
expect_used "${real[@]}"
expect_value p errors -eq 0
! grep -vxE 'listens|127\.0\.100\.([1-9]|1.|2[0-7])' "$dir/asked.log" ||
	fail "it asked servers that have no room"
stop p
stop others || true
for name in "${real[@]}"; do
	stop $name
done
stop e || true
