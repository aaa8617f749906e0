#!/bin/bash
# The client of etcd against real etcds: calls, leases, views that are compacted,
# restarted empty or lose their server, users and TLS.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

client() { # WHERE COMMAND...
	timeout $((60 * slow)) "$programs/etcdclient" "$@"
}

expect_client() { # "RESULT" WHERE COMMAND...
	local result
	result=$(client "${@:2}" 2>&1) || true
	[[ "$result" = $1 ]] || fail "${*:3}: \"$result\", expected \"$1\""
}

# soon COMMAND...: after etcd was started anew a call may be too late, so it is made
# again
soon() {
	expect 60 client "$@" >"$dir/said"
}

# The views are processes of the test, by NAME, with a log.
start_view() { # NAME WHERE PREFIX [SECONDS-OF-SILENCE [LEASE-TO-KEEP]]
	"$programs/etcdclient" "$2" view "${@:3}" >"$dir/$1.log" 2>&1 &
	pid[$1]=$!
}

end_view() { # NAME
	stop "$1" KILL || true
}

say "calls and leases"
start_etcds one
at=127.0.0.1:${port[one]}
expect_client "" "$at" put /a/1 first 0
expect_client "" "$at" put /a/2 "sec ond" 0
expect_client "" "$at" put /b/1 other 0
expect_client $'/a/1 first\n/a/2 sec ond' "$at" range /a/
lease=$(client "$at" grant 60)
expect_client "" "$at" put /a/3 leased "$lease"
expect_client "" "$at" keep "$lease"
expect_client "there: leased $lease" "$at" put-if /a/3 0 /a/3 new "$lease"
expect_client "put" "$at" put-if /a/3 "$lease" /a/3 newer "$lease"
expect_client "" "$at" revoke "$lease"
expect_client $'/a/1 first\n/a/2 sec ond' "$at" range /a/
expect_client "error No such file or directory: *" "$at" keep "$lease"
expect_client "error No such file or directory: *lease not found" "$at" put /a/3 x "$lease"
expect_client "error Input/output error: *" 127.0.0.1:1 range /a/

say "a rest is not cut short by a watch that has something to tell"
expect_client rested "$at" rest /rest/ /rest/1

say "transactions, guarded by a prefix"
etcd_revision() {
	etcd_do one get /none -w json | sed 's/.*"revision":\([0-9]*\).*/\1/'
}
client "$at" put /t/gone old 0
now=$(etcd_revision)
# nobody has put a key with the prefix; other keys do not matter
client "$at" put /b/1 again 0
expect_client done "$at" transact /none/ "$now" 0 /u/1 made /t/gone
expect_client "" "$at" range /t/
# a key is new, or has another value
now=$(etcd_revision)
client "$at" put /t/2 new 0
expect_client refused "$at" transact /t/ "$now" 0 /u/1 lost /t/2
now=$(etcd_revision)
client "$at" put /t/2 newer 0
expect_client refused "$at" transact /t/ "$now" 0 /u/1 lost /t/2
expect_client $'/u/1 made' "$at" range /u/
expect_client $'/t/2 newer' "$at" range /t/
# one that is gone does not matter
now=$(etcd_revision)
etcd_do one del /t/2 >/dev/null
lease=$(client "$at" grant 60)
expect_client done "$at" transact /t/ "$now" "$lease" /u/1 leased /t/2
expect_client "" "$at" revoke "$lease"
expect_client "" "$at" range /u/
expect_client "error No such file or directory: *lease not found" \
	"$at" transact /t/ "$now" "$lease" /u/1 x /t/2

say "more keys than one answer has"
for part in $(seq 0 10); do
	{
		echo
		seq -f 'put /many/%05g x' $((part * 100 + 1)) $((part * 100 + 100))
		echo
		echo
	} | etcd_do one txn >/dev/null
done
client "$at" range /many/ >"$dir/many"
diff "$dir/many" <(seq -f '/many/%05g x' 1100) >"$dir/said" ||
	fail "not all keys: $(head -n 5 "$dir/said")"

say "what others put between our keys hides none of them"
# put_raw NAME KEY VALUE: both base64
put_raw() {
	perl -MIO::Socket::INET -e '
		my ($port, $key, $value) = @ARGV;
		my $body = qq({"key":"$key","value":"$value"});
		my $s = IO::Socket::INET->new("127.0.0.1:$port") or die;
		print $s "POST /v3/kv/put HTTP/1.0\r\nContent-Length: ", length $body, "\r\n\r\n", $body;
		local $/; my $a = <$s>; die $a unless $a =~ / 200 /' "${port[$1]}" "$2" "$3"
}
client "$at" put /n/1 x 0
put_raw one L24vMQB4 eA== # /n/1, NUL, x
client "$at" put /n/2 y 0
expect_client $'/n/1 x\n/n/2 y' "$at" range /n/

say "more than an answer may have"
head -c 1000000 /dev/zero | tr '\0' v >"$dir/megabyte"
client "$at" put /big/00 small 0
for i in $(seq -w 1 20); do
	etcd_do one put "/big/$i" <"$dir/megabyte" >/dev/null
done
client "$at" put /big/21 small 0
client "$at" range /big/ | cut -c 1-12 >"$dir/big"
diff "$dir/big" <(
	echo "/big/00 smal"
	seq -f '/big/%02g vvvv' 1 20
	echo "/big/21 smal"
) >"$dir/said" || fail "not all keys: $(head -n 5 "$dir/said")"
etcd_do one del --prefix /big/ >/dev/null

say "a view sees what changes"
start_view v "$at" /a/
expect 20 has_line "$dir/v.log" "current at $at"
[ "$(head -n 4 "$dir/v.log")" = $'begin\nis /a/1 first\nis /a/2 sec ond\nend' ] ||
	fail "$(cat "$dir/v.log")"
client "$at" put /a/1 again 0
client "$at" put /b/1 again 0
etcd_do one del /a/2 >/dev/null
expect 20 has_line "$dir/v.log" "gone /a/2"
has "$dir/v.log" "is /a/1 again" || fail "no change: $(cat "$dir/v.log")"
! has "$dir/v.log" "/b/" || fail "a key of another prefix"

say "silence is not believed for long: an etcd that hangs is noticed"
start_view q "$at" /a/ 2
expect 20 at_least_lines "$dir/q.log" "current at" 2
! has "$dir/q.log" error || fail "an etcd that answers is not believed: $(cat "$dir/q.log")"
kill -STOP "${pid[one]}"
expect 60 has_line "$dir/q.log" error
kill -CONT "${pid[one]}"
count=$(lines_with "$dir/q.log" "current at")
expect 60 at_least_lines "$dir/q.log" "current at" $((count + 1))
end_view q

say "a view goes on where it was"
stop one KILL || true
expect 20 has_line "$dir/v.log" "old at"
start_etcds one
expect 60 at_least_lines "$dir/v.log" "current at" 2
soon "$at" put /a/4 later 0
expect 20 has_line "$dir/v.log" "is /a/4 later"
[ "$(lines_with "$dir/v.log" begin)" = 1 ] || fail "it listed again: $(cat "$dir/v.log")"

say "what a view missed is compacted"
kill -STOP "${pid[v]}"
stop one KILL || true
start_etcds one
etcd_do one del /a/1 >/dev/null
soon "$at" put /a/5 missed 0
revision=$(etcd_do one get /a/5 -w json | sed 's/.*"mod_revision":\([0-9]*\).*/\1/')
etcd_do one compact "$revision" >/dev/null
kill -CONT "${pid[v]}"
expect 60 at_least_lines "$dir/v.log" end 2
# the last list
awk '/^begin/ { n = 0 } { line[++n] = $0 } /^end/ { kept = n }
	END { for (i = 1; i <= kept; i++) print line[i] }' "$dir/v.log" >"$dir/listed"
diff "$dir/listed" <(printf '%s\n' begin "is /a/4 later" "is /a/5 missed" end) ||
	fail "what is listed after the compaction is wrong"

say "etcd is restarted empty"
stop one KILL || true
rm -rf "$dir/one.etcd"
start_etcds one
soon "$at" put /a/6 new 0
expect 60 has_line "$dir/v.log" "is /a/6 new"
[ "$(lines_with "$dir/v.log" begin)" -ge 3 ] || fail "it did not list again"
stop v KILL || true
stop one || true

start_etcds x y z
all=127.0.0.1:${port[x]},127.0.0.1:${port[y]},127.0.0.1:${port[z]}
used_by() { # VIEW: the server of the three that it is at
	local used name
	used=$(sed -n 's/^current at .*://p' "$dir/$1.log" | tail -n 1)
	for name in x y z; do
		[ "${port[$name]}" != "$used" ] || echo "$name"
	done
}
can_put() { # VALUE
	client "$all" put /a/1 "$1" 0 >"$dir/said"
}

say "one of three hangs: the watch leaves it with the calls"
lease=$(client "$all" grant 600)
start_view h "$all" /a/ 0 "$lease"
expect 20 has_line "$dir/h.log" "current at"
first=$(used_by h)
kill -STOP "${pid[$first]}"
expect 60 can_put heard
expect 60 has_line "$dir/h.log" "is /a/1 heard"
has_line "$dir/h.log" "error 127.0.0.1:${port[$first]}: it does not answer" || fail "$(cat "$dir/h.log")"
kill -CONT "${pid[$first]}"
end_view h
expect 60 etcd_answers "$first"

say "one of three dies, and then the leader"
start_view w "$all" /a/
expect 20 has_line "$dir/w.log" "current at"
first=$(used_by w)
stop "$first" KILL || true
expect 60 at_least_lines "$dir/w.log" "current at" 2
expect 60 can_put two
expect 60 has_line "$dir/w.log" "is /a/1 two"
restart_etcd() { # CLUSTER-NAMES NAME: one of a cluster again
	local name cluster=
	for name in $1; do
		cluster+=${cluster:+,}$name=http://127.0.0.1:${peer_port[$name]}
	done
	start_etcd "$2" "$cluster"
	expect 60 etcd_answers "$2"
}
restart_etcd "x y z" "$first"
leader=
for name in x y z; do
	! etcd_do "$name" endpoint status | grep -q ', true, ' || leader=$name
done
[ "$leader" ] || fail "no leader"
stop "$leader" KILL || true
expect 60 can_put three
expect 60 has_line "$dir/w.log" "is /a/1 three"

say "one of three is left: it says so, and does not hang"
for name in x y z; do
	[ "$name" = "$leader" ] || left=$name
done
for name in x y z; do
	[ "$name" = "$leader" ] || [ "$name" = "$left" ] || second=$name
done
start_view l "127.0.0.1:${port[$left]}" /a/
expect 20 has_line "$dir/l.log" "current at"
stop "$second" KILL || true
cannot_put() {
	! client "127.0.0.1:${port[$left]}" put /a/1 lost 0 >"$dir/said"
}
expect 60 cannot_put
grep -q "^error Input/output error: \|^error Connection timed out: " "$dir/said" ||
	fail "$(cat "$dir/said")"
# Without a leader etcd ends a watch, if that was asked for: it would tell of no change.
expect 60 has_line "$dir/l.log" "error 127.0.0.1:${port[$left]}:" "no leader"
end_view l
restart_etcd "x y z" "$second"
expect 60 can_put four
expect 60 has_line "$dir/w.log" "is /a/1 four"
stop w KILL || true
for name in x y z; do
	[ "$name" = "$leader" ] || stop "$name" KILL || true
done

say "users"
start_etcds auth
at=127.0.0.1:${port[auth]}
(umask 077 && echo root:secret >"$dir/login" && echo root:wrong >"$dir/wrong" &&
	echo nonsense >"$dir/nonsense")
echo root:secret >"$dir/open"
chmod 644 "$dir/open"
expect_client "" --login="$dir/login" "$at" put /a/1 before 0
etcd_do auth user add root:secret >/dev/null
etcd_do auth user grant-role root root >/dev/null
etcd_do auth auth enable >/dev/null
expect_client "/a/1 before" --login="$dir/login" "$at" range /a/
expect_client "error Permission denied: *invalid user ID or password" \
	--login="$dir/wrong" "$at" range /a/
expect_client "error *user name is empty" "$at" range /a/
expect_client "error Permission denied: $dir/open: others can read it*" \
	--login="$dir/open" "$at" range /a/
expect_client "error Invalid argument: $dir/nonsense: it must have one line, USER:PASSWORD" \
	--login="$dir/nonsense" "$at" range /a/
# 192.0.2.1 is nobody's, and nothing is sent there
expect_client "error Permission denied: 192.0.2.1:2379: a password is sent to another machine only over TLS: give a CA" \
	--login="$dir/login" 192.0.2.1:2379 range /a/
# a restarted etcd knows no token
"$programs/etcdclient" --login="$dir/login" "$at" view /a/ >"$dir/u.log" 2>&1 &
pid[u]=$!
expect 20 has_line "$dir/u.log" "current at"
stop auth KILL || true
expect 20 has_line "$dir/u.log" "old at"
etcd_answers() { # without a user there is no better question
	(: </dev/tcp/127.0.0.1/"${port[$1]}") 2>/dev/null
}
start_etcds auth
expect 60 at_least_lines "$dir/u.log" "current at" 2
soon --login="$dir/login" "$at" put /a/1 after 0
expect 20 has_line "$dir/u.log" "is /a/1 after"
stop u KILL || true
# nor is a token that this etcd gave; it begins with any of the two
first_at_home() {
	[ -z "${pid[token]:-}" ] || stop token KILL || true
	"$programs/etcdclient" --login="$dir/login" "$at,192.0.2.1:2379" view /a/ \
		>"$dir/token.log" 2>&1 &
	pid[token]=$!
	expect 20 grep -q '^error\|^current' "$dir/token.log"
	has "$dir/token.log" "current at $at"
}
expect 60 first_at_home
stop auth KILL || true
expect 20 has_line "$dir/token.log" "error a password is sent to another machine only over TLS: give a CA"
stop token KILL || true

say "users change, and with them JSON web tokens"
certtool --generate-privkey --key-type=rsa --bits=2048 --outfile="$dir/jwt.key" 2>/dev/null
certtool --load-privkey="$dir/jwt.key" --pubkey-info --outfile="$dir/jwt.pub" 2>/dev/null
etcd_extra[jwt]="--auth-token jwt,pub-key=$dir/jwt.pub,priv-key=$dir/jwt.key,sign-method=RS256,ttl=10m"
start_etcds jwt
etcd_do jwt user add root:secret >/dev/null
etcd_do jwt user grant-role root root >/dev/null
etcd_do jwt auth enable >/dev/null
mkfifo "$dir/lines"
"$programs/etcdclient" --login="$dir/login" "127.0.0.1:${port[jwt]}" puts /a/1 \
	<"$dir/lines" >"$dir/puts.log" 2>&1 &
pid[puts]=$!
exec 8>"$dir/lines"
echo one >&8
expect 60 at_least_lines "$dir/puts.log" one 1
etcd_do jwt --user=root:secret user add other:secret >/dev/null
echo two >&8
expect 60 at_least_lines "$dir/puts.log" two 1
exec 8>&-
[ "$(<"$dir/puts.log")" = $'put one\nput two' ] || fail "$(<"$dir/puts.log")"
wait "${pid[puts]}" || fail "puts"
unset "pid[puts]"
stop jwt || true

say "TLS"
certify ca ca cert_signing_key
certify other ca cert_signing_key
certify host ip_address=127.0.0.1 tls_www_server tls_www_client signing_key
certify client tls_www_client signing_key
etcd_extra[tls]="--cert-file=$dir/host.pem --key-file=$dir/host.key --client-cert-auth --trusted-ca-file=$dir/ca.pem"
start_etcds tls
at=127.0.0.1:${port[tls]}
with=(--ca="$dir/ca.pem" --cert="$dir/client.pem" --key="$dir/client.key" "$at")
can_put() {
	client "${with[@]}" put /a/1 sealed 0 >"$dir/said"
}
expect 60 can_put
expect_client "/a/1 sealed" "${with[@]}" range /a/
expect_client "error Input/output error: $at: *" --ca="$dir/ca.pem" "$at" range /a/
expect_client "error Input/output error: *" --ca="$dir/other.pem" --cert="$dir/client.pem" \
	--key="$dir/client.key" "$at" range /a/
expect_client "error Input/output error: $at: *" "$at" range /a/
expect_client "error Permission denied: $dir/none: No such file or directory" \
	--ca="$dir/none" "$at" range /a/
stop tls || true
