# hostile.pl PORT LOG SLABS: everything that a server's port must not mind.
# SLABS: how many slabs the server has, some of them another session's.
use strict;
use warnings;
use FindBin;
BEGIN { require "$FindBin::Bin/wire.pl" }

my ($port, $log, $slabs) = @ARGV;
my $failed = 0;

sub wrong {
	print "hostile: @_\n";
	$failed = 1;
}

# The lines that the server's log has, behind its first FROM bytes, of the
# connection from that address and port: an earlier one may have had the same.
sub lines_of {
	my ($peer, $from) = @_;
	open my $in, '<', $log or die "$log: $!\n";
	seek $in, $from, 0;
	return grep { /\b\Q$peer\E: / } <$in>;
}

# Waits for the first such line: a thread of the server's own writes its log.
sub await_line {
	my ($peer, $from) = @_;
	my $end = time + $main::patience;
	sleep 0.02 while !lines_of($peer, $from) && time < $end;
}

sub peer_of { return $_[0]->sockhost . ':' . $_[0]->sockport }

# The next connections come from another address: the log has 10 lines a second
# of each.
my $address = 0;
sub move_on { $main::from = '127.0.0.' . (64 + $address++ % 32) }

# [NAME, PEER, FROM]: of these the log must have one line each, also at the end.
my @logged;

# One bad connection.  CODE is given the socket, and returns the code of the
# ERROR that it was answered with, or 0; then the server has to end the
# connection, and the log must have one line of it.
sub attack {
	my ($name, $s, $code, %expected) = @_;
	my $peer = peer_of($s);
	my $from = -s $log;
	my $error = eval { $code->($s) };
	wrong("$name: $@") if $@;
	wrong("$name: answered with error ", $error // 'none', ", expected ",
		$expected{error} // 'none')
		if ($error // 0) != ($expected{error} // 0);
	if (!$expected{hang_up}) {
		my $rest = eval { get($s, 1 << 20) };
		wrong("$name: the connection is not ended") if $@;
	}
	close $s;
	await_line($peer, $from);
	wrong("$name: the log does not say $expected{log}")
		if $expected{log} && !grep { /$expected{log}/ } lines_of($peer, $from);
	push @logged, [$name, $peer, $from];
}

# The code of the ERROR that comes, or 0 where none comes.
sub error_of {
	my ($s) = @_;
	my ($type, undef, $body) = get_message($s);
	return 0 unless defined $type;
	return $type == ERROR ? unpack('V', $body) : die "answered with $type\n";
}

sub first {
	my ($name, $bytes, %expected) = @_;
	move_on();
	attack($name, connect_to($port), sub {
		my ($s) = @_;
		put($s, $bytes);
		$s->shutdown(1) if $expected{hang_up};
		return $expected{error} ? error_of($s) : 0;
	}, %expected);
}

sub second {
	my ($name, $bytes, %expected) = @_;
	move_on();
	attack($name, connect_to($port), sub {
		my ($s) = @_;
		call($s, HELLO, hello_body(), WELCOME);
		put($s, $bytes);
		return error_of($s);
	}, %expected);
}

sub in_session {
	my ($name, $bytes, %expected) = @_;
	move_on();
	my $session = session($port);
	attack($name, $session->{control}, sub {
		my ($s) = @_;
		put($s, $bytes);
		return error_of($s);
	}, %expected);
}

sub on_lane {
	my ($name, $bytes, %expected) = @_;
	move_on();
	my $session = session($port);
	my $slab = alloc($session);
	$bytes = $bytes->($slab) if ref $bytes;
	attack($name, lane($session), sub {
		my ($s) = @_;
		put($s, $bytes);
		return 0 unless $expected{error};
		my ($status, $payload) = data_reply($s);
		die "it sent bytes with an error\n" if length($payload // '');
		return $status;
	}, %expected);
	# the session itself goes on
	call($session->{control}, PING, '', PONG);
}

# --- those that only take time ---

my @idle = map { connect_to($port) } 1 .. 3;
my @idle_peers = map { peer_of($_) } @idle;
my $idle_since = time;
my $loris = connect_to($port);
my $loris_message = message(HELLO, hello_body());
my $loris_sent = 0;
# one more letter of it, now and then
sub feed_loris {
	put($loris, substr $loris_message, $loris_sent, 1)
		and $loris_sent++ if $loris_sent < time - $idle_since;
}

# asks for much and reads nothing
my $glutton = session($port);
my $glutton_slab = alloc($glutton);
my $glutton_lane = lane($glutton);
put($glutton_lane, data_request(READ, $glutton_slab, 0, 1 << 20) x 100);

# a lane in the middle of a WRITE, for ever
my $stuck = session($port);
my $stuck_slab = alloc($stuck);
my $stuck_lane = lane($stuck);
put($stuck_lane, data_request(WRITE, $stuck_slab, 0, 1 << 20) . 'x' x 5000);

# --- first messages ---

first('garbage', join '', map { chr int rand 256 } 1 .. 5000);
first('HTTP', "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
first('zeros', "\0" x 100);
first('a data frame', data_request(READ, 0, 0, 4096));
first('half a header', substr(message(HELLO, hello_body()), 0, 9),
	hang_up => 1);
first('half a HELLO', substr(message(HELLO, hello_body()), 0, 40),
	hang_up => 1);
first('another version', message(HELLO, hello_body(), version => 1),
	error => E_VERSION);
first('version 0', message(HELLO, hello_body(), version => 0),
	error => E_VERSION);
first("type $_", message($_, ''), error => E_PROTOCOL)
	for 0, 22, 255, 65535, LANE, PING;
first('WELCOME', message(WELCOME, pack('a16 Q<4 V V v4 a32', 'x', 0,
	1 << 20, 1 << 30, 1 << 30, 1, 16, 0, 0, 0, 0, '')), error => E_PROTOCOL);
first('ALLOC', message(ALLOC, pack 'Q<', 0), error => E_PROTOCOL);
first('a huge body', message(HELLO, hello_body(), bytes => 0xffffffff),
	error => E_PROTOCOL);
first('a body too short', message(HELLO, 'short'), error => E_PROTOCOL);
first('a name without end', message(HELLO, hello_body('x' x 64)),
	error => E_PROTOCOL);
first('a name of two lines', message(HELLO, hello_body("a\nb")),
	error => E_PROTOCOL);
feed_loris();

# --- after HELLO ---

second('HELLO again', message(HELLO, hello_body()), error => E_PROTOCOL);
second('no lanes', message(OPEN, pack 'Q< V V', 1 << 20, 0, TCP),
	error => E_PROTOCOL);
second('a million lanes', message(OPEN, pack 'Q< V V', 1 << 20, 1000000, TCP),
	error => E_LIMIT, log => '1000000 lanes, and the limit of one session is 264');
second("transport $_", message(OPEN, pack 'Q< V V', 1 << 20, 4, $_),
	error => E_PROTOCOL) for 0, 3, 4;
second('RESUME of nothing', message(RESUME, pack 'Q< a16', 99999, 'x' x 16),
	error => E_NO_SESSION);
second('a RESUME too short', message(RESUME, 'x' x 23), error => E_PROTOCOL);
second($_->[0], message($_->[1], $_->[2]), error => E_PROTOCOL) for
	['RESUMED', RESUMED, pack('Q<2 V2 a16', 1, 0, 0, 0, '')],
	['RELEASE', RELEASE, pack('V2', 1, 1)];
{
	my $s = session($port);
	my $mine = alloc($s);
	my $lane = lane($s);
	for my $at (0, 7, 15) {
		my %other = %$s;
		substr($other{token}, $at, 1) ^= "\x01";
		second("RESUME with another token, byte $at", message(RESUME,
			resume_body(\%other)), error => E_NO_SESSION);
	}
	# nobody was disturbed
	call($s->{control}, PING, '', PONG);
	wrong('a WRITE fails') if data_write($lane, $mine, 0, 'x' x 4096);
	bye($s);
	second('RESUME of a session that said BYE', message(RESUME,
		resume_body($s)), error => E_NO_SESSION);
}
second('FREE without a session', message(FREE, pack 'V V', 0, 0),
	error => E_PROTOCOL);
feed_loris();

# --- with a session ---

in_session('OPEN again', message(OPEN, pack 'Q< V V', 1 << 20, 4, TCP),
	error => E_PROTOCOL);
in_session('an answer', message(PONG, pack 'Q<2 V4', 0, 0, 0, 0, 0, 0),
	error => E_PROTOCOL);
in_session('RESUME', message(RESUME, pack 'Q< a16', 1, 'x' x 16),
	error => E_PROTOCOL);
in_session('JOIN on a control connection', message(JOIN, join_body(1, 0,
	'x' x 16)), error => E_PROTOCOL);
in_session('garbage', 'garbage ' x 100, error => 0);

# These are answered, and the session goes on.
{
	my $s = session($port, lanes => 264);
	my $mine = alloc($s);
	for my $slab (0 .. $slabs, 0xffffffff) {
		next if $slab == $mine;
		my ($code) = unpack 'V', call($s->{control}, FREE,
			pack('V V', $slab, 0), ERROR);
		wrong("FREE of slab $slab: error $code") if $code != E_NO_SLAB;
	}
	call($s->{control}, FREE, pack('V V', $mine, 0), FREED);
	call($s->{control}, FREE, pack('V V', $mine, 0), ERROR);
	token($s) for 1 .. 264;
	my ($code, $text) = unpack 'V Z*', call($s->{control}, LANE, '', ERROR);
	wrong("a 265th lane: error $code, $text")
		if $code != E_LIMIT || $text !~ /limit of 264 lanes/;
	call($s->{control}, FENCE, '', FENCED);
	token($s);
	call($s->{control}, PING, '', PONG);
	$s = session($port, lanes => 1);
	token($s);
	($code) = unpack 'V', call($s->{control}, LANE, '', ERROR);
	wrong("a second lane where OPEN said one: error $code")
		if $code != E_LIMIT;
}
feed_loris();

# does not read what it asks for
{
	my $s = session($port);
	attack('a flood of PINGs', $s->{control}, sub {
		my ($control) = @_;
		my $end = time + $main::patience;
		1 while time < $end && put($control, message(PING, '') x 1000);
		return 0;
	}, log => 'the limit of 65536 bytes');
}

# --- lanes ---

first("JOIN with a wrong token, session $_", message(JOIN,
	join_body($_, 0, "\0" x 16)), error => E_TOKEN) for 0, 1, 99999;
{
	my $s = session($port);
	my ($id, $lane, $token) = token($s);
	for my $at (0, 7, 15) {
		my $other = $token;
		substr($other, $at, 1) ^= "\x01";
		first("JOIN with another token, byte $at", message(JOIN,
			join_body($id, $lane, $other)), error => E_TOKEN);
	}
	first('JOIN with another lane', message(JOIN,
		join_body($id, $lane + 1, $token)), error => E_TOKEN);
	first('JOIN with a lane that cannot be', message(JOIN,
		join_body($id, 0xffffffff, $token)), error => E_TOKEN);
	first('JOIN with another session', message(JOIN,
		join_body($id - 1, $lane, $token)), error => E_TOKEN);
	my $joined = connect_to($port);
	call($joined, JOIN, join_body($id, $lane, $token), JOINED);
	first('JOIN with a used token', message(JOIN,
		join_body($id, $lane, $token)), error => E_TOKEN);
	my @old = token($s);
	call($s->{control}, FENCE, '', FENCED);
	first('JOIN with a token from before a FENCE', message(JOIN,
		join_body(@old)), error => E_TOKEN);
	wrong('a fenced lane goes on') if length get($joined, 1);
	@old = token($s);
	bye($s);
	first('JOIN of a session that ended', message(JOIN, join_body(@old)),
		error => E_TOKEN);
}
feed_loris();

on_lane('garbage on a lane', 'garbage ' x 1000, error => E_PROTOCOL);
on_lane('HELLO on a lane', message(HELLO, hello_body()), error => E_PROTOCOL);
on_lane('op 3', sub { data_request(3, $_[0], 0, 4096) }, error => E_PROTOCOL);
on_lane('no bytes', sub { data_request(READ, $_[0], 0, 0) },
	error => E_PROTOCOL);
on_lane('too many bytes', sub { data_request(WRITE, $_[0], 0, 0xffffffff) },
	error => E_PROTOCOL);
on_lane('a reserved field', sub {
	data_request(READ, $_[0], 0, 4096, reserved => 1) },
	error => E_PROTOCOL);
on_lane('beyond the slab', sub { data_request($_[1] // READ, $_[0], 1 << 20,
	4096) }, error => E_PROTOCOL);
on_lane('over the end of the slab', sub { data_request(WRITE, $_[0],
	(1 << 20) - 4095, 4096) . 'x' x 4096 }, error => E_PROTOCOL);
on_lane('an offset that overflows', sub { data_request(WRITE, $_[0],
	~0 - 4095, 8192) . 'x' x 8192 }, error => E_PROTOCOL);
on_lane('more than a slab', sub { data_request(READ, $_[0], 0, 2 << 20) },
	error => E_PROTOCOL);
feed_loris();

# --- a slab that is granted again is zero ---

{
	my $s = session($port);
	my $lane = lane($s);
	my @mine = map { alloc($s) } 1 .. 16;
	my %had = map { $_ => 1 } @mine;
	for my $slab (@mine) {
		my $status = data_write($lane, $slab, 0, 'secret! ' x (1 << 17));
		wrong("writing slab $slab: status $status") if $status;
	}
	my ($status, $payload) = data_read($lane, $mine[0], 8, 8);
	wrong("it read \"$payload\"") if $payload ne 'secret! ';
	call($s->{control}, FREE, pack('V V', $mine[0], 0), FREED);
	close $lane;
	bye($s);

	# What is granted is kept, so the server comes to those slabs, whatever the
	# order in which it grants its free ones.
	my $again = 0;
	$s = session($port);
	$lane = lane($s);
	my $end = time + $main::patience;
	while ($again < 8 && time < $end) {
		my $slab = try_alloc($s);
		if (!defined $slab) {
			select undef, undef, undef, 0.1; # they are being zeroed
			next;
		}
		$again += $had{$slab} // 0;
		($status, $payload) = data_read($lane, $slab, 0, 1 << 20);
		wrong("slab $slab is not zeros")
			if $status || $payload ne "\0" x (1 << 20);
	}
	wrong('no slab was granted again') unless $again;
}

# --- those that took time ---

sub ended_in_time {
	my ($name, $s, $peer) = @_;
	my $end = time + 5 + $main::patience;
	while (time < $end) {
		feed_loris();
		next unless IO::Select->new($s)->can_read(0.2);
		my $n = sysread $s, my $bytes, 4096;
		last unless $n;
	}
	wrong("$name was not ended") if time >= $end;
	await_line($peer, 0);
	my @lines = lines_of($peer, 0);
	wrong("$name: ", scalar @lines, ' lines in the log') if @lines != 1;
}
ended_in_time('a message of one letter a second', $loris, peer_of($loris));
for my $i (0 .. $#idle) {
	ended_in_time('an idle connection', $idle[$i], $idle_peers[$i]);
}

# --- a second line would have come by now ---

for (@logged) {
	my ($name, $peer, $from) = @$_;
	my @lines = lines_of($peer, $from);
	wrong("$name: ", scalar @lines, " lines in the log: @lines")
		if @lines != 1;
}

# --- other sessions' slabs; last, since it fills the log ---

# Nobody else's slab, whoever has it, can be read or written.
{
	# a lane that ended may take a moment to be gone
	my $s = session($port, lanes => 264);
	my $mine = alloc($s);
	my $tried = 0;
	for my $slab (0 .. $slabs + 1, 0x7fffffff, 0xffffffff) {
		next if $slab == $mine;
		for my $op (READ, WRITE) {
			my $lane = lane($s);
			put($lane, data_request($op, $slab, 0, 4096) .
				($op == WRITE ? 'x' x 4096 : ''));
			my ($status, $payload) = data_reply($lane);
			wrong("slab $slab, op $op: ", $status // 'no reply')
				if ($status // 0) != E_NO_SLAB;
			wrong("slab $slab gave bytes") if length $payload;
			$tried++;
		}
	}
	wrong('no slab was tried') unless $tried > $slabs;
}

exit $failed;
