#!/bin/bash
# docs/timeouts.md has the times that the code and the units have: each row names where
# its value stands, and each time of common/times.h, of detach's steps, of a unit and of
# its helpers has a row.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
page=$src/docs/timeouts.md
failed=0

# seconds FILE NAME: of a definition, of a unit's setting, or of milliseconds that
# stand in FILE themselves
seconds() {
	perl -e '
		my ($file, $name) = @ARGV;
		open(my $f, "<", $file) or die "$file: $!\n";
		local $/;
		my $text = <$f>;
		if ($name =~ /^\d+$/) {
			$text =~ /\b$name\b/ or exit 1;
			print $name / 1000;
		} elsif ($text =~ /^$name=(\d+)$/m) {
			print $1;
		} elsif ($text =~ /^#define\s+$name\s+\(?(\d+)(?:\.0)?(?: \* NS_PER_(M?S)\))?/m) {
			my ($n, $unit) = ($1, $2);
			$unit //= ($name =~ /_MS$/ ? "MS" : "S");
			print $unit eq "MS" ? $n / 1000 : $n;
		} else { exit 1 }' "$src/$1" "$2"
}

# "DEFAULT|FILE NAME..." of each row
rows() {
	sed -n 's/^|[^|]*|\([^|]*\)|.*| `\([^`|]*\)` |$/\1|\2/p' "$page"
}

while IFS='|' read -r default where; do
	read -r file names <<<"$where"
	sum=0
	for name in $names; do
		value=$(seconds "$file" "$name") || {
			echo "$file has no $name"
			failed=1
			value=0
		}
		sum=$((sum + value))
	done
	told=$(grep -oE '[0-9]+ s\b' <<<"$default" | head -n 1)
	[ "$told" = "$sum s" ] || {
		echo "\"$default\" is not $sum s: $where"
		failed=1
	}
done < <(rows)
[ "$(rows | wc -l)" -ge 25 ] || {
	echo "timeouts.md isn't understood: $(rows)"
	failed=1
}

for name in $(grep -oE '^#define TIMES_[A-Z_]+_S\b' "$src/common/times.h" | cut -d' ' -f2); do
	rows | grep -w "$name" >/dev/null || {
		echo "$name: no row"
		failed=1
	}
done
for name in $(grep -oE '^#define TEARDOWN_[A-Z_]+_NS\b' "$src/ctl/teardown.h" | cut -d' ' -f2); do
	rows | grep -F "|ctl/teardown.h $name" >/dev/null || {
		echo "$name: no row"
		failed=1
	}
done
for helper in $(cd "$src/systemd" && grep -l '^limit_s=' ./* | sed 's,^\./,,'); do
	rows | grep -F "|systemd/$helper limit_s" >/dev/null || {
		echo "$helper: limit_s: no row"
		failed=1
	}
done
while IFS=: read -r unit setting; do
	rows | grep -F "|systemd/$unit ${setting%%=*}" >/dev/null || {
		echo "$unit: $setting: no row"
		failed=1
	}
done < <(cd "$src/systemd" && grep -E '^(Timeout[A-Za-z]*|RestartSec|WatchdogSec)=[0-9]' ./*.in |
	sed 's,^\./,,')

exit "$failed"
