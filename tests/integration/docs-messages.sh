#!/bin/bash
# docs/troubleshooting.md quotes messages that the programs really print: each is in a
# string of the source, with … for what is filled in.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
page=$src/docs/troubleshooting.md

cd "$src"
perl -CSD -Mutf8 -e '
	use strict;
	use warnings;
	my ($page, @files) = @ARGV;
	my (@strings, $missing, $quoted);
	local $/;
	for my $file (@files) {
		open(my $f, "<", $file) or die "$file: $!\n";
		my $text = <$f>;
		$text =~ s{/\*.*?\*/}{ }gs;
		# characters, so that no quote is left in them
		$text =~ s/\x27(?:[^\x27\\\n]|\\.)\x27/0/g;
		# "..." PRIu64 "..." and literals beside each other are one
		my $literal = qr/"(?:[^"\\]|\\.)*"/;
		while ($text =~ /($literal(?:\s*(?:PRI\w+\s*)?$literal)*)/g) {
			my $string = join "", map { substr $_, 1, -1 } $1 =~ /$literal/g;
			push @strings, $string =~ s/\\(.)/$1/gr;
		}
	}
	open(my $f, "<", $page) or die "$page: $!\n";
	for my $message (<$f> =~ /^\| `([^`]+)` \|/mg) {
		$quoted++;
		my $pattern = join ".*", map { quotemeta } split /…/, $message, -1;
		next if grep { /$pattern/ } @strings;
		print "no program prints: $message\n";
		$missing = 1;
	}
	$quoted >= 30 or die "troubleshooting.md is not understood\n";
	exit($missing ? 1 : 0)' "$page" $(find plugin memserver common pool ctl -name '*.[ch]')

# and what it tells to look up is there
failed=0
for code in $(grep -oE '`[a-z]+(-[a-z]+)+`' "$page" | tr -d '`' | sort -u); do
	grep -q "^=head2 $code\$" docs/man/rswap-findings.pod || {
		echo "$code: no such finding"
		failed=1
	}
done
exit "$failed"
