# Clients of a server with keys that speak the protocol through gnutls-cli, and
# say what no plugin would say.
#   psk.pl PORT CASE NAME=KEY [NAME=KEY]
use strict;
use warnings;
use FindBin;
use POSIX ();
use Socket;
BEGIN { require "$FindBin::Bin/wire.pl" }

my ($port, $case, @keys) = @ARGV;
alarm 60;
use constant E_IDENTITY => 10;

# A control connection by TLS, as NAME=KEY, to the server or to another PORT.
sub tls_connect {
	my ($name, $key) = split /=/, $_[0];
	my $to = $_[1] // $port;
	socketpair(my $mine, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
		or die "socketpair: $!\n";
	my $pid = fork // die "fork: $!\n";
	if (!$pid) {
		close $mine;
		POSIX::dup2(fileno $its, $_) for 0, 1;
		exec 'gnutls-cli', '--logfile=/dev/null', '--no-ca-verification',
			'--priority=NORMAL:-VERS-ALL:+VERS-TLS1.3:+ECDHE-PSK',
			"--pskusername=$name", "--pskkey=$key", '-p', $to,
			'127.0.0.1'
			or POSIX::_exit(127);
	}
	close $its;
	binmode $mine;
	return $mine;
}

sub tls_session {
	my $control = tls_connect(@_);
	call($control, HELLO, hello_body(), WELCOME);
	my ($id, undef, $token) = unpack 'Q<2 a16', call($control, OPEN,
		pack('Q< V V', 1 << 30, 4, TCP), OPENED);
	return { control => $control, session => $id, token => $token };
}

# The answer to MESSAGE is ERROR with that code, which is returned as text.
sub refused {
	my ($s, $type, $body, $code) = @_;
	my ($got, $text) = unpack 'V Z*', call($s, $type, $body, ERROR);
	die "error $got ($text), and not $code\n" if $got != $code;
	return $text;
}

# A network to the server, in a process of its own, as [its port, its process].
# After SIGUSR1 it changes a bit of what it forwards to the server.
sub network {
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
		Listen => 1, Proto => 'tcp') or die "cannot listen: $!\n";
	my $pid = fork // die "fork: $!\n";
	return ($listener->sockport, $pid) if $pid;
	my $changes = 0;
	$SIG{USR1} = sub { $changes = 1 };
	my $client = $listener->accept or POSIX::_exit(1);
	my $server = connect_to($port);
	my $select = IO::Select->new($client, $server);
	for (;;) {
		for my $from ($select->can_read) {
			my $bytes;
			sysread($from, $bytes, 1 << 16) or POSIX::_exit(0);
			# behind the header of the record
			substr($bytes, 7, 1) ^= "\x01"
				if $changes && $from == $client;
			syswrite($from == $client ? $server : $client, $bytes);
		}
	}
}

my %cases = (
	# A record that was changed on its way ends the connection, and the
	# session goes on over another one.
	changed => sub {
		my ($network, $pid) = network();
		my $session = tls_session($keys[0], $network);
		call($session->{control}, PING, '', PONG);
		kill USR1 => $pid;
		put($session->{control}, message(PING, ''));
		die "there is an answer\n" if length get($session->{control}, 1);
		my $own = tls_connect($keys[0]);
		call($own, HELLO, hello_body(), WELCOME);
		call($own, RESUME, resume_body($session), RESUMED);
		call($own, PING, '', PONG);
		put($own, message(BYE, ''));
		get($own, 1);
	},

	# A key and a greeting are not enough to stay.
	silent => sub {
		my $s = tls_connect($keys[0]);
		call($s, HELLO, hello_body(), WELCOME);
		die "there is more\n" if length get($s, 1);
	},

	# Another identity has the token of a session, and gets nothing by it.
	stolen => sub {
		my $session = tls_session($keys[0]);
		my $thief = tls_connect($keys[1]);
		call($thief, HELLO, hello_body(), WELCOME);
		refused($thief, RESUME, resume_body($session), E_NO_SESSION);
		call($session->{control}, PING, '', PONG);
		my $own = tls_connect($keys[0]);
		call($own, HELLO, hello_body(), WELCOME);
		call($own, RESUME, resume_body($session), RESUMED);
		put($own, message(BYE, ''));
		get($own, 1);
	},

	# The token of a RESUME resumes nothing once RESUMED has come.
	replay => sub {
		my $session = tls_session($keys[0]);
		my $old = { %$session };
		for my $round (1 .. 3) {
			my $own = tls_connect($keys[0]);
			call($own, HELLO, hello_body(), WELCOME);
			my $answer = call($own, RESUME, resume_body($session),
				RESUMED);
			# lost, once: the same token again
			if ($round == 1) {
				close $own;
				next;
			}
			(undef, undef, undef, undef, $session->{token}) =
				unpack 'Q<2 V2 a16', $answer;
			call($own, PING, '', PONG);
			my $thief = tls_connect($keys[0]);
			call($thief, HELLO, hello_body(), WELCOME);
			refused($thief, RESUME, resume_body($old),
				E_NO_SESSION);
			call($own, PING, '', PONG);
			$session->{control} = $own;
		}
		put($session->{control}, message(BYE, ''));
		get($session->{control}, 1);
	},

	# A plain client hears that it needs a key, and nothing else; a link
	# needs none, but a token.
	plain => sub {
		my $s = connect_to($port);
		my $text = refused($s, HELLO, hello_body(), E_IDENTITY);
		die "it says: $text\n" if $text !~ /psk-file/;
		die "there is more\n" if length get($s, 1);
		$s = connect_to($port);
		refused($s, RESUME, pack('Q< a16', 1, 'x' x 16), E_IDENTITY);
		$s = connect_to($port);
		refused($s, JOIN, pack('Q< V V a16', 1, 0, 0, 'x' x 16),
			E_TOKEN);
	},

	# One that has proved its key stays while a crowd comes from its own
	# address, more than an address may have.  It stays for 5 seconds, so a
	# crowd that a busy machine is slow to make tells nothing.
	crowd => sub {
		my ($s, @crowd, $began);
		for (1 .. 20) {
			$began = time;
			$s = tls_connect($keys[0]);
			call($s, HELLO, hello_body(), WELCOME);
			@crowd = map { connect_to($port) } 1 .. 70;
			get($crowd[$_], 1) for 0 .. 5;
			last if time - $began < 3;
		}
		call($s, OPEN, pack('Q< V V', 1 << 20, 1, TCP), OPENED);
		put($s, message(BYE, ''));
		get($s, 1);
	},

	# A control connection does not become a link.
	join => sub {
		my $session = tls_session($keys[0]);
		my ($id, $lane, undef, $token) = unpack 'Q< V V a16',
			call($session->{control}, LANE, '', TOKEN);
		my $s = tls_connect($keys[0]);
		refused($s, JOIN, pack('Q< V V a16', $id, $lane, 0, $token),
			E_PROTOCOL);
		$s = connect_to($port);
		call($s, JOIN, pack('Q< V V a16', $id, $lane, 0, $token),
			JOINED);
		put($session->{control}, message(BYE, ''));
		get($session->{control}, 1);
	},
);

($cases{$case} // die "there is no case $case\n")->();
