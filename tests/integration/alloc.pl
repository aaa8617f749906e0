# alloc.pl PORT: a session that asks for as many slabs as each line of its
# standard input says, and answers each with a line "granted N error CODE", CODE
# 0 where all were granted.  It keeps them until the end of its input.
use strict;
use warnings;
use FindBin;
BEGIN { require "$FindBin::Bin/wire.pl" }

my $session = session($ARGV[0]);
$| = 1;
while (defined(my $line = <STDIN>)) {
	my ($granted, $code) = (0, 0);
	while ($granted < $line) {
		put($session->{control},
			message(ALLOC, pack('Q<', $session->{label}++)))
			or die "cannot send: $!\n";
		my ($type, undef, $body) = get_message($session->{control});
		die "no answer to ALLOC\n" unless defined $type;
		$code = unpack 'V', $body if $type == ERROR;
		last if $type != SLAB;
		$granted++;
	}
	print "granted $granted error $code\n";
}
bye($session);
