# The wire protocol (docs/protocol.md, common/wire.h) for tests that say what no
# plugin would say, and servers that say what no server would.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

use constant {
	MAGIC => 0x50575352, DATA_MAGIC => 0x44575352, REPLY_MAGIC => 0x52575352,
	VERSION => 3,
	HELLO => 1, WELCOME => 2, OPEN => 3, OPENED => 4, LANE => 5, TOKEN => 6,
	JOIN => 7, JOINED => 8, ALLOC => 9, SLAB => 10, FREE => 11, FREED => 12,
	FENCE => 13, FENCED => 14, PING => 15, PONG => 16, BYE => 17,
	ERROR => 18, RESUME => 19, RESUMED => 20, RELEASE => 21,
	E_VERSION => 1, E_PROTOCOL => 2, E_NO_MEMORY => 3, E_NO_SLAB => 4,
	E_TRANSPORT => 5, E_TOKEN => 6, E_LIMIT => 7, E_NO_SESSION => 9,
	TCP => 1, RDMA => 2, READ => 1, WRITE => 2,
};

# How long the other side may take for anything.
our $patience = 10 * ($ENV{RSWAP_SANITIZER} ? 3 : 1);
$SIG{PIPE} = 'IGNORE';

sub message {
	my ($type, $body, %other) = @_;
	return pack('V v v V V', $other{magic} // MAGIC,
		$other{version} // VERSION, $type,
		$other{bytes} // length $body, $other{cookie} // 7) . $body;
}

# The address that connections come from.
our $from = '127.0.0.1';

sub connect_to {
	my ($port) = @_;
	my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
		PeerPort => $port, LocalAddr => $from, Proto => 'tcp',
		Timeout => 5)
		or die "cannot connect to port $port: $!\n";
	binmode $s;
	return $s;
}

sub put {
	my ($s, $bytes) = @_;
	my $at = 0;
	while ($at < length $bytes) {
		my $n = syswrite $s, $bytes, length($bytes) - $at, $at;
		return 0 unless $n;
		$at += $n;
	}
	return 1;
}

# Up to N bytes: fewer only at the end of the stream.  Dies when nothing comes.
sub get {
	my ($s, $n) = @_;
	my $bytes = '';
	my $end = time + $patience;
	my $ready = IO::Select->new($s);
	while (length $bytes < $n) {
		$ready->can_read($end - time) or die "no answer\n";
		my $got = sysread $s, $bytes, $n - length $bytes, length $bytes;
		last unless $got;
	}
	return $bytes;
}

# (type, cookie, body), or nothing at the end of the stream.
sub get_message {
	my ($s) = @_;
	my $header = get($s, 16);
	return if length $header < 16;
	my ($magic, $version, $type, $bytes, $cookie) =
		unpack 'V v v V V', $header;
	die sprintf("a message with magic %08x\n", $magic) if $magic != MAGIC;
	return ($type, $cookie, get($s, $bytes));
}

# Sends a message and returns the body of the answer, which has to be of that
# type.
sub call {
	my ($s, $type, $body, $answer_type) = @_;
	put($s, message($type, $body)) or die "cannot send: $!\n";
	my ($got, undef, $answer) = get_message($s);
	die "no answer to message type $type\n" unless defined $got;
	die "message type $type was answered by error ",
		join(' ', unpack 'V Z*', $answer), "\n"
		if $got == ERROR && $answer_type != ERROR;
	die "message type $type was answered by type $got\n"
		if $got != $answer_type;
	return $answer;
}

sub hello_body { return pack 'Q< a64', 0, $_[0] // 'hostile' }

# A control connection with a session: { control, session, port }.
sub session {
	my ($port, %open) = @_;
	my $control = connect_to($port);
	call($control, HELLO, hello_body(), WELCOME);
	my ($id, undef, $token) = unpack 'Q<2 a16', call($control, OPEN,
		pack('Q< V V', $open{size} // 1 << 30, $open{lanes} // 4, TCP),
		OPENED);
	return { control => $control, session => $id, port => $port,
		token => $token, label => 0 };
}

sub resume_body { return pack 'Q< a16', $_[0]{session}, $_[0]{token} }

# Ends the session, so that nothing of it stays.
sub bye {
	my ($session) = @_;
	put($session->{control}, message(BYE, ''));
	get($session->{control}, 1 << 20); # until the server has ended it
	close $session->{control};
}

# (session, lane, token)
sub token {
	my ($session) = @_;
	my ($id, $lane, undef, $token) = unpack 'Q< V V a16',
		call($session->{control}, LANE, '', TOKEN);
	return ($id, $lane, $token);
}

sub join_body { return pack 'Q< V V a16', $_[0], $_[1], 0, $_[2] }

sub lane {
	my ($session) = @_;
	my @token = token($session);
	my $s = connect_to($session->{port});
	call($s, JOIN, join_body(@token), JOINED);
	return $s;
}

# The number of a slab of its own.
# A slab, or nothing where the server has none now.
sub try_alloc {
	my ($session) = @_;
	put($session->{control},
		message(ALLOC, pack('Q<', $session->{label}++)))
		or die "cannot send: $!\n";
	my ($type, undef, $body) = get_message($session->{control});
	die "no answer to ALLOC\n" unless defined $type;
	return (unpack 'Q<3 V', $body)[3] if $type == SLAB;
	return if $type == ERROR && unpack('V', $body) == E_NO_MEMORY;
	die "ALLOC was answered by type $type\n";
}

sub alloc { return try_alloc(@_) // die "no slab is granted\n" }

sub data_request {
	my ($op, $slab, $offset, $bytes, %other) = @_;
	return pack 'V v v V V Q< Q<', $other{magic} // DATA_MAGIC, $op,
		$other{reserved} // 0, $slab, $bytes, $offset, 9;
}

# The status of a reply and its payload; nothing at the end of the stream.
sub data_reply {
	my ($s) = @_;
	my $header = get($s, 24);
	return if length $header < 24;
	my ($magic, $status, $bytes) = unpack 'V V V', $header;
	die "a reply with a wrong magic\n" if $magic != REPLY_MAGIC;
	return ($status, get($s, $bytes));
}

sub data_write {
	my ($s, $slab, $offset, $payload) = @_;
	put($s, data_request(WRITE, $slab, $offset, length $payload) . $payload);
	my ($status) = data_reply($s);
	return $status;
}

sub data_read {
	my ($s, $slab, $offset, $bytes) = @_;
	put($s, data_request(READ, $slab, $offset, $bytes));
	return data_reply($s);
}

1;
