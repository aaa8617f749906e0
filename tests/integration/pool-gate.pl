# pool-gate.pl PORT [OWN]: a network to an etcd, in which transactions wait until two
# are on their way: so each of the two clients has read all that it wants to read
# before either of them changes anything.  Listens on port OWN or a free one, and
# prints which.  All else passes at once, and so do transactions after those two.
#
# Each line of standard error is one word: "waits", when a transaction comes; "done" or
# "refused", as etcd answers one.  It is refused if its comparison fails.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

my ($port, $own) = @ARGV;
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
	LocalPort => $own // 0, ReuseAddr => 1, Listen => 50, Proto => 'tcp')
	or die "cannot listen: $!\n";
my $select = IO::Select->new($listener);
my (%side, $open); # by its socket

$| = 1;
print $listener->sockport, "\n";

sub report {
	syswrite STDERR, "$_[0]\n";
}

# A side of a connection: { socket, other, client (it is that side), waiting (bytes of a
# transaction), answer (what has come of one) }
sub side {
	my ($socket, $client) = @_;
	setsockopt $socket, 6, 1, 1; # TCP_NODELAY
	$select->add($socket);
	return $side{$socket} = { socket => $socket, client => $client };
}

sub drop {
	my ($side) = @_;
	$select->remove($side->{socket});
	delete $side{$side->{socket}};
	close $side->{socket};
}

sub put {
	my ($side, $bytes) = @_;
	while (length $bytes) {
		my $n = syswrite $side->{socket}, $bytes or return;
		substr $bytes, 0, $n, '';
	}
}

sub send_transaction {
	my ($side, $bytes) = @_;
	$side->{other}{answer} = '';
	put($side->{other}, $bytes);
}

# A client sends a request when it has the answer to the last one: each begins with
# bytes of its own.
sub ask {
	my ($side, $bytes) = @_;
	if (defined $side->{waiting}) {
		$side->{waiting} .= $bytes;
	} elsif ($bytes !~ m{^POST /v3/kv/txn }) {
		put($side->{other}, $bytes);
	} elsif ($open) {
		send_transaction($side, $bytes);
	} else {
		report('waits');
		$side->{waiting} = $bytes;
	}
}

sub answer {
	my ($side, $bytes) = @_;
	if (defined $side->{answer}) {
		$side->{answer} .= $bytes;
		if ($side->{answer} =~ /\r\n\r\n.*\}\s*$/s) {
			report($side->{answer} =~ /"succeeded":\s*true/ ? 'done' : 'refused');
			delete $side->{answer};
		}
	}
	put($side->{other}, $bytes);
}

sub accept_client {
	my $accepted = $listener->accept or return;
	my $forward = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
		or return;
	my ($client, $server) = (side($accepted, 1), side($forward, 0));
	($client->{other}, $server->{other}) = ($server, $client);
}

$SIG{PIPE} = 'IGNORE';
while (1) {
	for my $socket ($select->can_read) {
		if ($socket == $listener) {
			accept_client();
			next;
		}
		my $side = $side{$socket} or next;
		if (!sysread $socket, my $bytes, 1 << 18) {
			drop($side->{other});
			drop($side);
		} elsif ($side->{client}) {
			ask($side, $bytes);
		} else {
			answer($side, $bytes);
		}
	}
	# A client that gave up has dropped its own.
	my @waiting = grep { defined $_->{waiting} } values %side;
	next if $open || @waiting < 2;
	$open = 1;
	send_transaction($_, delete $_->{waiting}) for @waiting;
}
