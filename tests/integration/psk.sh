#!/bin/bash
# Control connections with keys: the right client comes in, each other one is
# refused with a reason in the log, and a session that is there goes on.
. "$(dirname "$0")/functions.sh"
requires gnutls-cli --version
requires psktool --version
ctl=$build/ctl/rswapctl

umask 077
"$ctl" genkey alpha >"$dir/keys"
psktool -u beta -p "$dir/keys" >/dev/null 2>&1
[ "$(wc -l <"$dir/keys")" = 2 ] || fail "not two keys: $(wc -l <"$dir/keys")"
"$ctl" genkey alpha >"$dir/wrong"
"$ctl" genkey gamma >"$dir/unknown"
grep alpha "$dir/keys" >"$dir/alpha"
alpha=$(sed 's/:/=/' "$dir/alpha")
beta=$(sed -n 's/^beta:/beta=/p' "$dir/keys")
[[ $alpha =~ ^alpha=[0-9a-f]{64}$ ]] || fail "genkey made: $alpha"

# --- files and options ---

server_refuses "--listen=0.0.0.0:0 --psk-file rswapctl genkey NAME
	--allow-unauthenticated" --memory=64M --listen=0.0.0.0:0
server_refuses "--psk-file --allow-unauthenticated one of them" --memory=64M \
	--psk-file="$dir/keys" --allow-unauthenticated
server_refuses "--psk-file=$dir/none No such file" --memory=64M \
	--psk-file="$dir/none"
echo "alpha:12" >"$dir/short"
server_refuses "--psk-file=$dir/short line 1 16 to 64" --memory=64M \
	--psk-file="$dir/short"
install -m 644 "$dir/keys" "$dir/open"
server_refuses "--psk-file=$dir/open 0644 0600 0400" --memory=64M \
	--psk-file="$dir/open"
plugin_refuses "psk-file=$dir/open 0644 0600" 127.0.0.1:1 size=16M \
	psk-file="$dir/open"
plugin_refuses "psk-file=$dir/keys 2 keys identity" 127.0.0.1:1 size=16M \
	psk-file="$dir/keys"
plugin_refuses "identity=delta no key of that name" 127.0.0.1:1 size=16M \
	psk-file="$dir/keys" identity=delta
plugin_refuses "identity=alpha psk-file=FILE" 127.0.0.1:1 size=16M \
	identity=alpha

# With keys, and for one that asks for it, other addresses are fine.
start_server w --memory=64M --listen=0.0.0.0:0 --psk-file="$dir/keys"
stop w || fail "exit status $?"
start_server w --memory=64M --listen=0.0.0.0:0 --allow-unauthenticated
stop w || fail "exit status $?"

# --- who gets in ---

start_server s --memory=64M --slab-size=1M --psk-file="$dir/keys"
network net s
start_plugin p "$(server net)" size=16M lanes=4 psk-file="$dir/alpha"
[ "$(value s sessions.0.identity)" = alpha ] || fail "of whom is it?"
start_shadow load p --size=16M --connections=2

has_disconnected() {
	ask s | grep -q '^sessions\.[0-9]*\.state disconnected$'
}

# refused "WORD..." COMMAND...: fails, and the server's log says why
refused() {
	local words before
	before=$(value s connections_refused)
	read -ra words <<<"$1"
	shift
	"$@" || fail "not as it should be: $*"
	expect_line "$dir/s.log" "${words[@]}"
	expect_value s connections_refused -gt "$before"
}

refused "identity alpha does not prove its key" plugin_refuses \
	"server=$(server s) refuses identity alpha" "$(server s)" size=16M \
	psk-file="$dir/wrong"
refused "identity gamma is not known here" plugin_refuses \
	"server=$(server s) refuses identity gamma" "$(server s)" size=16M \
	psk-file="$dir/unknown"
refused "speaks no TLS --psk-file" plugin_refuses \
	"server=$(server s) wants TLS with a key psk-file=FILE" "$(server s)" \
	size=16M
refused "speaks no TLS" perl "$here/psk.pl" "${port[s]}" plain

tls() { # PRIORITIES: gnutls-cli is refused
	! gnutls-cli --no-ca-verification --priority="$1" --pskusername=alpha \
		--pskkey="${alpha#*=}" -p "${port[s]}" 127.0.0.1 \
		</dev/null >"$dir/out" 2>&1
}
refused "does not offer TLS 1.3" tls \
	NORMAL:-VERS-ALL:+VERS-TLS1.2:+ECDHE-PSK:+DHE-PSK:+PSK
refused "offers no pre-shared key" tls NORMAL
# keys without forward secrecy
refused "offers no pre-shared key" tls NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+PSK

perl "$here/psk.pl" "${port[s]}" stolen "$alpha" "$beta" || fail "stolen"
expect_line "$dir/s.log" "there is no such session to resume" \
	"is another identity's"
perl "$here/psk.pl" "${port[s]}" replay "$alpha" || fail "replay"
expect_lines "$dir/s.log" "the token does not resume session" 2
perl "$here/psk.pl" "${port[s]}" join "$alpha" || fail "join"
expect_line "$dir/s.log" "JOIN is out of place"

perl "$here/psk.pl" "${port[s]}" changed "$alpha" || fail "changed"
expect_line "$dir/s.log" "session" "a TLS record does not"
perl "$here/psk.pl" "${port[s]}" silent "$alpha" || fail "silent"
expect_line "$dir/s.log" "opened no session for 5 seconds; connection closed"
perl "$here/psk.pl" "${port[s]}" crowd "$alpha" || fail "crowd"
expect_line "$dir/s.log" "the limit of 64 without a session, of one address"

# The same file for all of its clients, each by its name.
start_plugin b "$(server s)" size=8M lanes=2 psk-file="$dir/keys" identity=beta
expect_req b ok write:0:4096:7
expect_req b ok check:0:4096:7
stop b || fail "exit status $?"

# --- keys that are read again ---

# hup TEXT: the server has read its keys again, and says that
hup() {
	kill -HUP "${pid[s]}"
	expect_line "$dir/s.log" "SIGHUP: $1"
}

"$ctl" genkey delta | tee "$dir/delta" >>"$dir/keys"
hup "$dir/keys has 3 keys"
start_plugin b "$(server s)" size=8M lanes=2 psk-file="$dir/keys" identity=beta
start_plugin d "$(server s)" size=8M lanes=2 psk-file="$dir/delta"
expect_req b ok write:0:4096:7
expect_req d ok write:0:4096:7
cp "$dir/keys" "$dir/good"
echo nonsense >>"$dir/keys"
hup "--psk-file=$dir/keys: line 4 is not NAME:HEXKEY; the keys stay as they were"
cp "$dir/good" "$dir/keys"
chmod 644 "$dir/keys"
hup "--psk-file=$dir/keys: others can read it (mode 0644)"
chmod 600 "$dir/keys"
expect_value s sessions -eq 3
# one is connected, and the other one disconnected
stop d KILL || true
expect 10 has_disconnected
"$ctl" genkey beta | cat "$dir/alpha" - >"$dir/keys"
hup "$dir/keys has 2 keys"
expect_line "$dir/s.log" "identity beta: its key was removed or changed"
expect 10 is s sessions -eq 1
[ "$(value s sessions.0.identity)" = alpha ] || fail "the wrong one is left"
expect_line "$dir/b.log" "connecting again"
stop b || fail "exit status $?"
cp "$dir/alpha" "$dir/keys"
hup "$dir/keys has 1 key"
! perl "$here/psk.pl" "${port[s]}" join "$beta" 2>"$dir/out" ||
	fail "beta is still let in"
say "its client says: $(cat "$dir/out")"
expect_line "$dir/s.log" "identity beta is not known here"

# As systemd's unit hands it over.
export CREDENTIALS_DIRECTORY=$dir
start_server c --memory=64M --psk-file="$dir/keys"
unset CREDENTIALS_DIRECTORY
! has "$dir/s.log" "systemd copied these keys" || fail "these are no copy"
kill -HUP "${pid[c]}"
expect_line "$dir/c.log" "systemd copied these keys when it started the unit"
stop c || fail "exit status $?"

# --- doctor ---

"$ctl" doctor "$(server s)" --psk-file="$dir/alpha" >"$dir/out" 2>&1 || true
has_line "$dir/out" "$(server s)" "memory server, protocol" ||
	fail "doctor: $(cat "$dir/out")"
"$ctl" doctor "$(server s)" >"$dir/out" 2>&1 || true
has_line "$dir/out" "$(server s)" "wants TLS with a key" "--psk-file=FILE" ||
	fail "doctor without a key: $(cat "$dir/out")"
"$ctl" doctor "$(server s)" --psk-file="$dir/wrong" >"$dir/out" 2>&1 || true
has_line "$dir/out" "$(server s)" "refuses identity alpha" ||
	fail "doctor with a wrong key: $(cat "$dir/out")"

# --- a server without keys ---

start_server n --memory=64M
plugin_refuses "server=$(server n) does not speak TLS --psk-file" \
	"$(server n)" size=16M psk-file="$dir/alpha"
expect_line "$dir/n.log" "begins with TLS" "no keys"

# --- the session that was there ---

expect_value p errors -eq 0
expect_value p servers.0.recoveries -eq 0
stop net KILL || true
network net s
expect 15 is p servers.0.recoveries -ge 1
expect_line "$dir/p.log" "session resumed"
expect_more 20 p writes 1000
finish_shadow load
expect_value p pages_lost_ever -eq 0
expect_value s sessions -eq 1

# No key shows up anywhere.
for key in "${alpha#*=}" "${beta#*=}"; do
	! grep -qi "$key" "$dir"/*.log || fail "a key is in a log"
done
stop p || fail "exit status $?"
stop net KILL || true
