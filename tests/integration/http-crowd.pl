#!/usr/bin/perl
# Clients that an HTTP server could do without: http-crowd.pl PORT PATH
#
# Each of them begins while those before it still hang on, and between them one
# good client asks for PATH and has to get it at once.  Says what came.
use strict;
use warnings;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Time::HiRes qw(sleep);

my ($port, $path) = @ARGV;
my @held;
$SIG{PIPE} = 'IGNORE';
alarm 300;

sub dial {
	my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", @_)
		or die "cannot connect: $!\n";
	push @held, $socket;
	return $socket;
}

sub hold { $#held = -1; }

# The whole answer to REQUEST.
sub answer {
	my ($request) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
		or die "cannot connect: $!\n";
	syswrite $socket, $request;
	my $text = '';
	while (sysread $socket, my $part, 65536) { $text .= $part }
	return $text;
}

sub status_of { $_[0] =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'none' }

# A good client, as Prometheus is, tries again when its connection is cut off:
# the crowd may have pushed it out before it could say anything.  It does so a
# little later: at once it would meet the same crowd, on a busy machine too.
sub good {
	my ($beside) = @_;
	for my $attempt (1 .. 5) {
		select undef, undef, undef, 0.5 if $attempt > 1;
		my $text = answer("GET $path HTTP/1.1\r\nHost: x\r\n\r\n");
		next unless $text =~ m{^HTTP/1\.1 200 };
		my ($length) = $text =~ /^Content-Length: (\d+)\r$/m;
		my ($body) = $text =~ /\r\n\r\n(.*)\z/s;
		die "$beside: half an answer\n" unless length $body == $length;
		die "$beside: not $path: $body\n" unless $body =~ /^# HELP rswap_/;
		print "good beside $beside\n";
		return;
	}
	die "$beside: no answer\n";
}

sub expect {
	my ($what, $request, @wanted) = @_;
	my $status = status_of(answer($request));
	die "$what: $status\n" unless grep { $_ eq $status } @wanted;
	print "$what: $status\n";
}

good('nobody');

dial() for 1 .. 200;
good('200 that say nothing');
hold();

for (1 .. 200) { syswrite dial(), "GET $path HTTP/1.1\r\nHost:" }
good('200 that stop in the middle');
hold();

# Each answer is larger than what these sockets take.
for (1 .. 60) {
	my $socket = dial();
	setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 1;
	syswrite $socket, "GET $path HTTP/1.1\r\nHost: x\r\n\r\n";
}
good('60 that read nothing');
hold();

my $drip = dial();
for (1 .. 20) { syswrite $drip, "X"; sleep 0.02 }
good('one that drips');

# It is cut off, however busy it is.
my $dripped = 0;
$drip = dial();
syswrite $drip, "GET $path HTTP/1.1\r\n";
$dripped++ while $dripped < 600 && syswrite($drip, "X: y\r\n") && sleep 0.1;
die "one may drip for a minute\n" if $dripped >= 600;
print "one that drips was cut off\n";

my $huge = 'x' x 100_000;
expect('a huge header', "GET $path HTTP/1.1\r\nHost: x\r\nX: $huge\r\n\r\n",
	qw(413 431 400 none));
expect('a huge address', "GET /$huge HTTP/1.1\r\nHost: x\r\n\r\n",
	qw(414 431 400 none));
expect('many headers',
	"GET $path HTTP/1.1\r\nHost: x\r\n" . ("A: b\r\n" x 20_000) . "\r\n",
	qw(413 431 400 none));
expect('garbage', "\0\1\2\3\r\n\r\n", qw(400 none));
expect('no host', "GET $path HTTP/1.1\r\n\r\n", qw(400));
expect('a page that is not there', "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 404);
expect('a way out', "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404);
expect('a POST', "POST $path HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
	405);
expect('a DELETE', "DELETE $path HTTP/1.1\r\nHost: x\r\n\r\n", 405);
expect('a HEAD', "HEAD $path HTTP/1.1\r\nHost: x\r\n\r\n", 200);
# one request for each connection
die "a second answer\n" if 1 < (() = answer(
	"GET $path HTTP/1.1\r\nHost: x\r\n\r\n" x 5) =~ /^# HELP rswap_build/mg);
good('all of them');
