# fake-server.pl HOW [ADDRESS PORT]: listens, prints its port, and treats each
# connection
#   version  as a server of another protocol version would
#   error    with an ERROR message
#   garbage  with bytes of another protocol
#   silent   with silence
#   hangup   by closing it at once
#   half     with half a message, and then silence
#   slabs    with a slab size that cannot be
#   rdma     as a server that has RDMA only
use strict;
use warnings;
use FindBin;
BEGIN { require "$FindBin::Bin/wire.pl" }

sub welcome {
	my ($slab_bytes, $transports, $cookie) = @_;
	return message(WELCOME, pack('a16 Q<4 V V v4 a32', 'i', 0, $slab_bytes,
		1 << 40, 1 << 40, $transports, 256, 0, 0, 0, 0, ''),
		cookie => $cookie);
}

my %how = (
	version => sub { message(WELCOME, 'x' x 96, version => 4) },
	error => sub { message(ERROR, pack 'V a124', 8, 'out of order today') },
	garbage => sub { "220 mail.example.com ESMTP\r\n" },
	silent => sub { '' },
	hangup => sub { },
	half => sub { substr message(WELCOME, 'x' x 96), 0, 20 },
	slabs => sub { welcome(12345, TCP, @_) },
	rdma => sub { welcome(1 << 20, RDMA, @_) },
);
my $answer = $how{$ARGV[0]} or die "fake-server.pl: how?\n";
my $listener = IO::Socket::INET->new(LocalAddr => $ARGV[1] // '127.0.0.1',
	LocalPort => $ARGV[2] // 0, Listen => 5, Proto => 'tcp')
	or die "cannot listen: $!\n";
my @kept;

$| = 1;
print $listener->sockport, "\n";
while (my $s = $listener->accept) {
	my $cookie = 7;
	if ($ARGV[0] ne 'hangup') {
		my $hello = get($s, 16 + 72);
		$cookie = unpack 'x12 V', $hello if length $hello >= 16;
	}
	my @bytes = $answer->($cookie);
	put($s, $bytes[0]) if @bytes;
	push @kept, $s if @bytes;
}
