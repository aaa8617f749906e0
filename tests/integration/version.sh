#!/bin/bash
# Peers that speak another version of the protocol, or none: the plugin says so
# in one line within its deadline, and the server answers with ERROR.
. "$(dirname "$0")/functions.sh"

# refused HOW "WORD..."
refused() {
	local words status=0 begin
	read -ra words <<<"$2"
	rm -f "$dir/$1.sock" "$dir/port"
	perl "$here/fake-server.pl" "$1" >"$dir/port" 2>"$dir/fake.log" &
	pid[fake]=$!
	expect 5 test -s "$dir/port"
	begin=$SECONDS
	nbdkit_command
	timeout $((20 * slow)) "${nbdkit[@]}" -U "$dir/$1.sock" "$plugin" \
		"127.0.0.1:$(cat "$dir/port")" size=32M timeout=2 \
		>"$dir/out" 2>"$dir/err" || status=$?
	[ "$status" = 1 ] || fail "$1: exit status $status, $(cat "$dir/err")"
	expect_one_line "$dir/err" "server=127.0.0.1:$(cat "$dir/port")" \
		"${words[@]}"
	[ $((SECONDS - begin)) -le $((4 * slow)) ] ||
		fail "$1: refused after $((SECONDS - begin)) seconds"
	stop fake KILL || true
}

refused version "version 4 version 3"
refused error "out of order today"
refused garbage "not the rswap protocol"
refused silent "timed out"
refused hangup "reset"
refused half "timed out"
refused slabs "field"

# Nobody even refuses: a listener whose queue is full drops what comes, as an
# address of no machine does.
perl -MIO::Socket::INET -e '
	my $l = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1,
		Proto => "tcp") or die;
	my @fill = map { IO::Socket::INET->new(PeerAddr => "127.0.0.1",
		PeerPort => $l->sockport, Blocking => 0) } 1 .. 8;
	$| = 1;
	print $l->sockport, "\n";
	sleep 100' >"$dir/full.port" &
pid[full]=$!
expect 5 test -s "$dir/full.port"
begin=$SECONDS
status=0
nbdkit_command
timeout $((20 * slow)) "${nbdkit[@]}" -U "$dir/full.sock" "$plugin" \
	"127.0.0.1:$(cat "$dir/full.port")" size=32M timeout=2 \
	>"$dir/out" 2>"$dir/err" || status=$?
[ "$status" = 1 ] || fail "no answer: exit status $status, $(cat "$dir/err")"
expect_one_line "$dir/err" "server=127.0.0.1:$(cat "$dir/full.port")" \
	"timed out"
[ $((SECONDS - begin)) -le $((4 * slow)) ] ||
	fail "no answer: given up after $((SECONDS - begin)) seconds"
stop full KILL || true

# The server says which version it speaks, and stays.
start_server s --memory=64M --slab-size=1M
for version in 0 1 65535; do
	perl -e '
		require "$ARGV[0]/wire.pl";
		my $s = connect_to($ARGV[1]);
		put($s, message(1, hello_body(), version => $ARGV[2],
			cookie => 77));
		my ($type, $cookie, $body) = get_message($s);
		my ($code, $text) = unpack "V Z*", $body;
		print "type $type cookie $cookie code $code text $text\n";
		print "open\n" if length get($s, 1);' \
		"$here" "${port[s]}" "$version" >"$dir/answer"
	expect_one_line "$dir/answer" "type 18 cookie 77 code 1" \
		"text this server speaks version 3"
done
expect_lines "$dir/s.log" "version of the rswap protocol" 3
start_plugin p "$(server s)" size=32M
expect_req p ok write:0:4096:3
