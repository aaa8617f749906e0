#!/usr/bin/perl
# A client of NBD that reads no replies: unread.pl SOCKET COUNT BYTES
#
# Sends COUNT READs of BYTES each.  Says "answered" once there is a reply, which
# it leaves where it is (with COUNT 0: once it could send), and "closed" once
# the server has closed the connection.
use strict;
use warnings;
use IO::Poll qw(POLLIN POLLHUP POLLERR);
use IO::Socket::UNIX;

my ($path, $count, $bytes) = @ARGV;
alarm 600;
$| = 1;

my $socket = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!\n";

sub take {
	my ($n) = @_;
	while ($n > 0) {
		my $got = sysread($socket, my $buf, $n) or die "no answer\n";
		$n -= $got;
	}
}

sub put {
	my ($out) = @_;
	my $sent = syswrite($socket, $out);
	$sent == length $out or die "cannot send: $!\n";
}

# The greeting; the client's flags (fixed newstyle, no zeroes) and EXPORT_NAME;
# the size and flags of the device.
take(18);
put(pack('N', 3) . 'IHAVEOPT' . pack('NN', 1, 0));
take(10);
put(pack('NnnQ>Q>N', 0x25609513, 0, 0, 1, 0, $bytes) x $count) if $count;

my $poll = IO::Poll->new;
if ($count) {
	$poll->mask($socket => POLLIN);
	$poll->poll;
}
print "answered\n";
$poll->mask($socket => POLLHUP | POLLERR);
$poll->poll;
print "closed\n";
