#!/usr/bin/perl
# spoil.pl PID STAMP PAGE: changes a byte of the page in the memory of a memory
# server.  Its pages are not sealed, and are as content.h writes them.  Exit
# status 1 unless the page is there just once.
use strict;
use warnings;
no warnings 'portable';

my ($pid, $stamp, $page) = @ARGV;
# as content.h writes it
my $head = pack("Q<Q<", $stamp, $page);
my $found = 0;
open my $maps, "<", "/proc/$pid/maps" or die "maps: $!";
open my $mem, "+<:raw", "/proc/$pid/mem" or die "mem: $!";
while (<$maps>) {
	my ($from, $to) = /^([0-9a-f]+)-([0-9a-f]+) rw/ or next;
	my ($at, $end) = (hex $from, hex $to);
	# as large as its slabs (a sanitizer maps terabytes)
	next if $end - $at < 1 << 20 || $end - $at > 1 << 28;
	for (; $at < $end; $at += 4096) {
		sysseek $mem, $at, 0 or next;
		sysread($mem, my $bytes, 16) == 16 or next;
		next if $bytes ne $head;
		sysseek $mem, $at + 100, 0 or die "seek: $!";
		sysread($mem, my $byte, 1) == 1 or die "read: $!";
		sysseek $mem, $at + 100, 0 or die "seek: $!";
		syswrite($mem, $byte ^ "\1") == 1
			or die "write: $!";
		$found++;
	}
}
exit($found == 1 ? 0 : 1);
