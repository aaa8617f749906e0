# proxy.pl PORT [OWN]: a network between plugin and server that can break.  Listens
# on port OWN or a free one, prints which, and forwards each connection to PORT.
# All that it forwards is added to the file that CAPTURE of the environment names,
# and is DELAY_S seconds on its way.
#
# Killed, it resets all connections; stopped (SIGSTOP), it swallows what is sent.
#
# SIGUSR1 breaks all lanes that there are (not the control connections), the way
# a network does it that has swallowed what was on its way and brings it late:
# what the plugin sends on them is kept from now on, shortly after they are cut
# at the plugin's end, and the server is given what was kept, and the cut, only
# some time after that.
use strict;
use warnings;
use FindBin;
BEGIN { require "$FindBin::Bin/wire.pl" }

use constant { HOLD_S => 0.15, LATE_S => 0.7, SOME => 1 << 18 };

my ($port, $own) = @ARGV;
my $delay_s = $ENV{DELAY_S};
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
	LocalPort => $own // 0, ReuseAddr => 1, Listen => 50, Proto => 'tcp')
	or die "cannot listen: $!\n";
my ($cut_asked, %peer, %held, $capture);
open $capture, '>>:raw', $ENV{CAPTURE} or die "$ENV{CAPTURE}: $!\n"
	if $ENV{CAPTURE};
my $select = IO::Select->new($listener);
my @due; # [time, code]

$SIG{USR1} = sub { $cut_asked = 1 };
$| = 1;
print $listener->sockport, "\n";

# A side: { socket, other, plugin (it is that side), lane, first, kept }
sub side {
	my ($socket, $plugin) = @_;
	my $side = { socket => $socket, plugin => $plugin, first => '' };
	$peer{fileno $socket} = $side;
	$select->add($socket);
	return $side;
}

sub drop {
	my ($side) = @_;
	return unless $side->{socket};
	$select->remove($side->{socket});
	delete $peer{fileno $side->{socket}};
	close $side->{socket};
	$side->{socket} = undef;
}

# The first message tells what a connection is.
sub learn {
	my ($side, $bytes) = @_;
	return if !$side->{plugin} || length $side->{first} >= 8;
	$side->{first} .= $bytes;
	return if length $side->{first} < 8;
	my (undef, undef, $type) = unpack 'V v v', $side->{first};
	$side->{lane} = $type == JOIN;
}

sub forward {
	my ($side) = @_;
	my $n = sysread $side->{socket}, my $bytes, SOME;
	if (!$n) {
		# its end is part of what is late
		return drop($side) if defined $side->{kept};
		drop($side->{other});
		return drop($side);
	}
	learn($side, $bytes);
	syswrite $capture, $bytes if $capture;
	if (defined $side->{kept}) {
		$side->{kept} .= $bytes;
	} else {
		my $other = $side->{other};
		my $arrive = sub { put($other->{socket}, $bytes) if $other->{socket} };
		$delay_s ? push @due, [time + $delay_s, $arrive] : $arrive->();
	}
}

sub cut {
	my @lanes = grep { $_->{lane} } values %peer;
	$_->{kept} = '' for @lanes;
	push @due, [time + HOLD_S, sub { drop($_) for @lanes }];
	push @due, [time + HOLD_S + LATE_S, sub {
		for my $side (map { $_->{other} } @lanes) {
			next unless $side->{socket};
			put($side->{socket}, $side->{other}{kept});
			drop($side);
		}
	}];
}

while (1) {
	for my $socket ($select->can_read(0.02)) {
		if ($socket == $listener) {
			my $accepted = $listener->accept or next;
			my $forward = eval { connect_to($port) } or next;
			my $plugin = side($accepted, 1);
			my $server = side($forward, 0);
			($plugin->{other}, $server->{other}) =
				($server, $plugin);
			setsockopt $_->{socket}, 6, 1, 1 # TCP_NODELAY
				for $plugin, $server;
			next;
		}
		my $side = $peer{fileno $socket // -1};
		forward($side) if $side;
	}
	if ($cut_asked) {
		$cut_asked = 0;
		cut();
	}
	my @now = grep { $_->[0] <= time } @due;
	@due = grep { $_->[0] > time } @due;
	$_->[1]->() for @now;
}
