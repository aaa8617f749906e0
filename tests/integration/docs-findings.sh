#!/bin/bash
# rswap-findings(7) has a section for each finding that the code tells, with its health
# and its action, and no other; and each finding is told by some code.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
failed=0

# "code Health. Action: ..." of each entry of the table in finding.c, whose texts may go
# on over lines
in_code() {
	perl -0777 -ne '
		while (/\[(FINDING_\w+)\] = \{ (.*?) \},/gs) {
			my $entry = $2;
			my ($name, $health) = ($entry =~ /^"([^"]+)",\s*HEALTH_(\w+)/);
			my (undef, @action) = ($entry =~ /"([^"]*)"/g);
			print "$name ", ucfirst lc $health, ". Action: ", @action, ".\n";
		}' "$src/ctl/finding.c"
}

in_manual() {
	perl -0777 -ne '
		for my $section (split /^=head2 /m) {
			my ($name, $text) = ($section =~ /^([a-z-]+)\n\n(.*)/s) or next;
			$text =~ s/\n(?!\n)/ /g;
			my ($health) = ($text =~ /^(\w+)/);
			my @actions = ($text =~ /^ ?Action: (.*?) *$/mg);
			print "$name $health. Action: ", join("|", @actions), "\n";
		}' "$src/docs/man/rswap-findings.pod"
}

if [ "$(in_code | wc -l)" -lt 20 ]; then
	echo "finding.c isn't understood: $(in_code)"
	failed=1
fi
if ! diff <(in_code | sort) <(in_manual | sort); then
	echo "ctl/finding.c (<) and rswap-findings(7) (>) differ"
	failed=1
fi

for code in $(grep -oE '\[FINDING_[A-Z_]+\]' "$src/ctl/finding.c" | tr -d '[]'); do
	grep -qrw "$code" "$src/ctl" --include=*.c --exclude=finding.c && continue
	echo "$code: nothing tells it"
	failed=1
done

# A memory server that is started anew loses the pages that it has, and so does a front
# end.  So an action that has one started with other options says first how its pages
# get away.

# unsafe: the lines of standard input that do not say so
unsafe() {
	perl -ne 'print if m{(.*?)(\b(?:re)?start\b|(?<!or )more memory|--[a-z]|same `--)}s &&
		$1 !~ /\b(detach|drain)/i'
}

# what is to be started does not run, or is no part of rswap
ended='^(nothing-runs|not-running|started-before-swap) '
if in_code | grep -vE "$ended" | sed 's/start the programs//; s/.*Action: //' |
	unsafe | grep .; then
	echo "an action restarts what has pages, and does not say detach or drain first"
	failed=1
fi

# the same in what programs say, and in pages and alerts that say what to do
says() {
	find "$src"/{ctl,memserver,plugin} -name '*.c' -print0 | xargs -0 \
		perl -0777 -ne 's/"\s*\n\s*"//g; print "$_\n" for /"((?:[^"\\]|\\.)*)"/g'
	sed -n 's/^|.*|\([^|]*\)|$/\1/p' "$src"/docs/{reliability,troubleshooting}.md
	sed -n 's/^ *description: //p' "$src/monitoring/alerts.yml"
}
if says | grep -iE 'more (--)?memory|restart the server|same `--slab-size|(start|give) another' |
	unsafe | grep .; then
	echo "this restarts what has pages, and does not say detach or drain first"
	failed=1
fi

# what other pages say of a code
for code in $(grep -ohE '\[[a-z]+(-[a-z]+)+\]' "$src"/docs/*.md \
	"$src/docs/man/rswapctl.pod" "$src/README.md" | tr -d '[]' | sort -u); do
	in_code | grep "^$code " >/dev/null && continue
	echo "$code: no such finding"
	failed=1
done

exit "$failed"
