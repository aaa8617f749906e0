#!/bin/bash
# rswapctl try: a small device is tested and measured, by an ordinary user as well,
# and all of it is gone afterwards; what is wrong is one line.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/trial-functions.bash"

start_server s --memory=64M --slab-size=1M
start_server t --memory=64M --slab-size=1M

# trial STATUS WORD...
trial() {
	leaves_nothing try "$@"
}

all_is_well() {
	expect_lines "$dir/said" "read and compare  ok" 3
	expect_line "$dir/said" "trim a quarter    ok"
	expect_line "$dir/said" "zero a quarter    ok"
	[ "$(grep -cE '^(read|write) +(1|32) +[1-9][0-9]* .* (us|ms) ' "$dir/said")" = 4 ] ||
		fail "no figures: $(cat "$dir/said")"
	expect_line "$dir/said" "all is well, and all is removed again"
	[ ! -s "$dir/err" ] || fail "$(cat "$dir/err")"
	expect 10 is s slabs_used -eq 0
}

say "one server"
trial 0 "$(server s)"
expect_line "$dir/said" "server  $(server s) over tcp"
expect_line "$dir/said" "device  16 MiB, 1 copy of each page, cipher"
all_is_well
expect_value s writes -gt 4096

say "keys of the front end"
trial 0 "server=$(server s)" "$(server t)" size=8M replicas=2 encrypt=off
expect_line "$dir/said" "server  $(server t) over tcp"
expect_line "$dir/said" "device  8 MiB, 2 copies of each page, cipher none"
all_is_well

say "an ordinary user"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$dir"
	chmod 777 "$TMPDIR"
	ctl="setpriv --reuid=65534 --regid=65534 --clear-groups $ctl"
	ctl_words() { $ctl "$@"; }
	status=0
	ctl_words try "$(server s)" size=4M >"$dir/said" 2>"$dir/err" || status=$?
	[ "$status" = 0 ] || fail "try: $(cat "$dir/said" "$dir/err")"
	all_is_well
	ctl=$build/ctl/rswapctl
fi

say "a server that gives wrong bytes"
echo truth >"$dir/lie"
perl "$src/tests/integration/lying-server.pl" 4096 "$dir/lie" >"$dir/liar.port" \
	2>"$dir/liar.log" &
pid[liar]=$!
expect 10 test -s "$dir/liar.port"
port[liar]=$(cat "$dir/liar.port")
for lie in flip zeros old swap other; do
	echo "$lie" >"$dir/lie"
	trial 1 "$(server liar)" size=1M encrypt=off checksum=off
	expect_one_line "$dir/err" "rswapctl try: " "compare: " "is not what was written"
done
trial 1 "$(server liar)" size=1M encrypt=off
expect_one_line "$dir/err" "rswapctl try: read and compare: " "failed: Input/output error"
stop liar KILL || true

say "what cannot be"
trial 1 "$(server s)" size=1G
expect_one_line "$dir/err" "rswapctl try: " 1G
trial 1 "$(server s)" replicas=2
expect_one_line "$dir/err" "replicas needs 2 servers"
stop t
trial 1 "$(server t)"
expect_one_line "$dir/err" "$(server t)" "Connection refused"
trial 1 "$(server s)" lanes=0
expect_one_line "$dir/err" "lanes=0" "1 to 256"
trial 1 "$(server s)" frob=1
expect_one_line "$dir/err" "frob=1" transport psk-file
trial 1 "$(server s)" control=/tmp/x
expect_one_line "$dir/err" "control=/tmp/x" "but for control"
trial 1 "$(server s)" size=65G
expect_one_line "$dir/err" "size=65 GiB" 64G
trial 1 size=1M
expect_one_line "$dir/err" "SERVER is missing"
TMPDIR=/$(printf 'x%.0s' {1..90}) "$ctl" try "$(server s)" 2>"$dir/err" && fail "it works"
expect_one_line "$dir/err" TMPDIR=
TMPDIR=$dir/none "$ctl" try "$(server s)" 2>"$dir/err" && fail "it works"
expect_one_line "$dir/err" "$dir/none" "No such file"

say "the reason stands at the end of a long log"
mkdir "$dir/fake"
cat >"$dir/fake/rswap-nbd" <<'EOF'
#!/bin/sh
seq -f 'rswap-nbd: line %g of the log' 1000 >&2
echo 'rswap-nbd: this is why' >&2
exit 1
EOF
chmod +x "$dir/fake/rswap-nbd"
PATH=$dir/fake:$PATH trial 1 "$(server s)"
expect_one_line "$dir/err" "rswapctl try: this is why"

say "Ctrl-C"
rm -f "$dir/said"
"$ctl" try "$(server s)" >"$dir/said" 2>"$dir/err" &
pid[try]=$!
expect 20 has_line "$dir/said" "write every page"
kill -INT "${pid[try]}"
status=0
wait "${pid[try]}" || status=$?
unset "pid[try]"
[ "$status" = 1 ] || fail "exit status $status"
expect_one_line "$dir/err" interrupted
[ -z "$(ls "$TMPDIR")" ] || fail "it left $(ls "$TMPDIR")"
