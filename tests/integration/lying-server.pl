# lying-server.pl UNIT-BYTES LIE-FILE: a memory server over TCP that keeps what it
# is given, and answers reads as LIE-FILE says at that time.  Listens on a free
# port of loopback, and prints it.
#
#   truth  what was written last
#   flip   with one bit of each stored unit changed
#   zeros  zeros
#   old    what was there before the last write
#   swap   the neighbour's unit, and the neighbour's reads get this one
#   other  the unit of another page of the slab
use strict;
use warnings;
use FindBin;
BEGIN { require "$FindBin::Bin/wire.pl" }

use constant { SLAB_BYTES => 1 << 20, SLABS => 64 };

my ($unit, $lie_file) = @ARGV;
my ($slabs, %label, @now, @before, $tokens) = (0);
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50,
	Proto => 'tcp') or die "cannot listen: $!\n";
my $select = IO::Select->new($listener);
my %in;   # what came and was not answered yet, by socket
my %lane; # sockets that have joined

$| = 1;
print $listener->sockport, "\n";

sub free_bytes { return (SLABS - $slabs) * SLAB_BYTES }

sub lie {
	open my $file, '<', $lie_file or return 'truth';
	my $word = <$file> // 'truth';
	chomp $word;
	return $word;
}

# The bytes of a read, unit by unit.
sub answer {
	my ($slab, $at, $bytes) = @_;
	my $lie = lie();
	my $answer = '';
	for (my $from = $at; $from < $at + $bytes; $from += $unit) {
		my $n = $from / $unit;
		$n ^= 1 if $lie eq 'swap';
		$n += 3 if $lie eq 'other';
		my $kept = $lie eq 'old' ? \$before[$slab] : \$now[$slab];
		my $one = substr $$kept, $n * $unit, $unit;
		substr($one, 100, 1) ^= "\x10" if $lie eq 'flip';
		$answer .= $lie eq 'zeros' ? "\0" x $unit : $one;
	}
	return $answer;
}

# Answers one data request of the bytes that came; false where it is not whole.
sub data {
	my ($s, $in) = @_;
	return 0 if length $$in < 32;
	my (undef, $op, undef, $slab, $bytes, $at, $cookie) =
		unpack 'V v v V V Q< Q<', $$in;
	my $payload = '';
	if ($op == WRITE) {
		return 0 if length $$in < 32 + $bytes;
		substr($before[$slab], $at, $bytes) =
			substr $now[$slab], $at, $bytes;
		substr($now[$slab], $at, $bytes) = substr $$in, 32, $bytes;
		substr($$in, 0, 32 + $bytes) = '';
	} else {
		$payload = answer($slab, $at, $bytes);
		substr($$in, 0, 32) = '';
	}
	put($s, pack('V V V V Q<', REPLY_MAGIC, 0, length $payload, 0, $cookie)
		. $payload);
	return 1;
}

sub alloc_label {
	my ($label) = @_;
	$label{$label} //= $slabs++;
	my $slab = $label{$label};
	$_->[$slab] //= "\0" x SLAB_BYTES for \@now, \@before;
	return pack 'Q<3 V V', $label, SLAB_BYTES, free_bytes(), $slab, 0;
}

my %answer = (
	HELLO, sub { return WELCOME, pack 'a16 Q<4 V V v4 a32', 'liar', 0, SLAB_BYTES,
		SLABS * SLAB_BYTES, free_bytes(), TCP, 256, 0, 0, 0, 0, '' },
	OPEN, sub { return OPENED, pack 'Q< Q< a16 V V', 1, free_bytes(), 'r',
		1000, 0 },
	LANE, sub { return TOKEN, pack 'Q< V V a16', 1, ++$tokens, 0, 't' },
	JOIN, sub { return JOINED, pack 'V V', (unpack 'Q< V', $_[0])[1], 0 },
	ALLOC, sub { return SLAB, alloc_label(unpack 'Q<', $_[0]) },
	FREE, sub { return FREED, pack 'Q<', free_bytes() },
	FENCE, sub { return FENCED, pack 'V V', 0, 0 },
	PING, sub { return PONG, pack 'Q< Q< V4', SLABS * SLAB_BYTES, free_bytes(),
		$slabs, 2, 0, 0 },
);

# The same for a control message.
sub control {
	my ($s, $in) = @_;
	return 0 if length $$in < 16;
	my (undef, undef, $type, $bytes, $cookie) = unpack 'V v v V V', $$in;
	return 0 if length $$in < 16 + $bytes;
	my $body = substr $$in, 16, $bytes;
	substr($$in, 0, 16 + $bytes) = '';
	my $answer = $answer{$type} or return 1; # BYE
	my ($reply, $text) = $answer->($body);
	put($s, message($reply, $text, cookie => $cookie));
	$lane{$s} = 1 if $type == JOIN;
	return 1;
}

while (1) {
	for my $s ($select->can_read) {
		if ($s == $listener) {
			my $accepted = $s->accept or next;
			setsockopt $accepted, 6, 1, 1; # TCP_NODELAY
			$in{$accepted} = \(my $nothing = '');
			$select->add($accepted);
			next;
		}
		if (!sysread $s, ${$in{$s}}, 1 << 20, length ${$in{$s}}) {
			$select->remove($s);
			delete $in{$s};
			delete $lane{$s};
			close $s;
			next;
		}
		1 while $lane{$s} ? data($s, $in{$s}) : control($s, $in{$s});
	}
}
