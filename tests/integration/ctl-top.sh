#!/bin/bash
# rswapctl top: lines in a pipe; a screen on a terminal, which is as before when q, a
# signal or --count ends it.
. "$(dirname "$0")/functions.sh"

ctl=$build/ctl/rswapctl
unset LC_ALL LC_CTYPE
export LANG=C.UTF-8
requires script --version

start_server a --memory=64M --slab-size=1M
start_plugin p "$(server a)" size=48M timeout=30 lanes=4
start_shadow load p
export RSWAP_RUN_DIR=$dir/run
mkdir -p "$RSWAP_RUN_DIR/swap0"
ln -s "$dir/p.ctl" "$RSWAP_RUN_DIR/swap0/control.sock"
echo "device /dev/nbd7" >"$RSWAP_RUN_DIR/swap0/state"

say "lines"
"$ctl" top swap0 "$dir/a.ctl" --interval=1 --count=3 >"$dir/lines" ||
	fail "exit status $?"
[ "$(lines_with "$dir/lines" READS/S)" = 1 ] || fail "headings: $(cat "$dir/lines")"
# three of the plugin, of its server, and of the memory server
[ "$(wc -l <"$dir/lines")" = 10 ] || fail "lines: $(cat "$dir/lines")"
[ "$(lines_with "$dir/lines" " $(server a) ")" = 3 ] || fail "$(cat "$dir/lines")"
grep -qE "$(server a) +up +[0-9.k]*[1-9][0-9.k]* +[0-9.]+ [KMG]iB +[0-9.]+ [um]s" \
	"$dir/lines" || fail "no rates: $(cat "$dir/lines")"
! grep -q '[^ -~]' "$dir/lines" || fail "not plain text"

say "nobody reads any more"
timeout 30 "$ctl" top swap0 --interval=1 | head -n 1 >/dev/null ||
	[ "${PIPESTATUS[0]}" != 124 ] || fail "it goes on"

# on_terminal ROWS COLUMNS KEYS COMMAND...: what is written there, and its settings
# before and after as the lines before and after
on_terminal() {
	local keys=$3 size="stty rows $1 cols $2"
	shift 3
	printf '%b' "$keys" | timeout 60 script -qec \
		"$size; echo before \$(stty -g); $*; echo status \$?; echo after \$(stty -g)" \
		/dev/null >"$dir/screen"
	[ "$(sed -n 's/.*before \(.*\)/\1/p' "$dir/screen")" = \
		"$(sed -n 's/.*after \(.*\)/\1/p' "$dir/screen")" ] ||
		fail "the terminal is not as before: $(cat -v "$dir/screen")"
	has "$dir/screen" $'\033[?1049h\033[?25l' || fail "no other screen"
	has "$dir/screen" $'\033[?1049l\033[?25h' || fail "the screen stays"
	has "$dir/screen" "status 0" || fail "$(cat -v "$dir/screen")"
}

# The last screen, as text.
last_screen() {
	perl -0777 -CSD -ne '
		my ($last) = /.*\e\[H(.*?)\e\[J/s;
		$last =~ s/\e\[[0-9;?]*[a-zA-Z]//g;
		$last =~ s/\r//g;
		print $last' "$dir/screen"
}

fits() { # ROWS COLUMNS
	last_screen | perl -CSD -ne '
		chomp;
		die "line $.: ", length, " columns\n" if length > '"$2"';
		die "more than '"$1"' lines\n" if $. > '"$1" || fail "$(cat -v "$dir/screen")"
}

say "a screen, until --count"
on_terminal 24 80 "" "$ctl" top swap0 "$dir/a.ctl" --interval=1 --count=3
fits 24 80
last_screen >"$dir/text"
expect_line "$dir/text" "rswap" "q: end"
expect_line "$dir/text" "swap0: /dev/nbd7, 48 MiB" "%) in use"
expect_line "$dir/text" reads /s p50 p99 █
expect_line "$dir/text" "$(server a)" up
expect_line "$dir/text" "$dir/a.ctl: serving"

say "a small one, in ASCII"
LANG=C on_terminal 6 40 "" "$ctl" top swap0 --interval=1 --count=4
fits 6 40
[ "$(last_screen | wc -l)" -ge 5 ] || fail "$(last_screen)"
LANG=C on_terminal 24 80 "" "$ctl" top swap0 --interval=1 --count=4
last_screen >"$dir/text"
expect_line "$dir/text" reads /s '#'

say "q and signals end it"
on_terminal 24 80 xq "$ctl" top swap0 --interval=3600
on_terminal 24 80 "" timeout --foreground --preserve-status -s INT 2 \
	"$ctl" top swap0 --interval=3600
on_terminal 24 80 "" timeout --foreground --preserve-status -s TERM 2 \
	"$ctl" top swap0 --interval=3600

say "what does not answer"
on_terminal 24 80 "" "$ctl" top "$dir/none.ctl" --interval=1 --count=4
last_screen >"$dir/text"
expect_line "$dir/text" "$dir/none.ctl: no answer"

finish_shadow load
