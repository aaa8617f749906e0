#!/bin/bash
# The archive for a bug report: what it lists is in it, keys never are, and addresses
# and names of machines only if they are asked for.
. "$(dirname "$0")/harness.sh"

key=$(printf '%064x' 314159265358979)
(umask 077 && echo "alpha:$key" >"$dir/keys")
start_server a --memory=64M --slab-size=1M --psk-file="$dir/keys"

# A client names its machine to the server.
cat >"$dir/elsewhere" <<EOF
#!/bin/sh
exec unshare --uts sh -c \
	'echo client-secret >/proc/sys/kernel/hostname; exec "\$0" "\$@"' "$ctl" "\$@"
EOF
chmod +x "$dir/elsewhere"
requires "$dir/elsewhere" --version
real=$ctl
ctl=$dir/elsewhere
attach far --name=far --psk-file="$dir/keys" || fail "attach: $(cat "$dir/far.log")"
ctl=$real

say "secrets where a report looks"
cp -a /etc "$dir/etc"
mkdir -p "$dir"/etc/{rswap/far.conf.d,default}
cat >"$dir/etc/rswap/far.conf" <<EOF
SERVERS="secret-host 192.0.2.77:10909"
# alpha:$key
#SERVERS="was-secret"
	SERVERS=indented-secret
# SERVERS=commented-secret \\
#	goes-on-secret
SERVERS="line-secret \\
	next-secret
	last-secret"
OPTIONS="--pool-address \\
	option-secret"
EOF
cat >"$dir/etc/rswap/far.conf.d/90-more.conf" <<'EOF'
OPTIONS=--listen=2001:db8::77
KEYS="pool=etcd://key-secret,[2001:db8::78]:2379/blue"
EOF
cp "$dir/keys" "$dir/etc/rswap/far.keys"
cat >"$dir/etc/default/rswap-memserver" <<'EOF'
OPTIONS="--listen=conf-secret --pool=etcd://etcd-secret,198.51.100.9/blue"
MORE=--pool-address=pool-secret
REST='--pool-address rest-secret'
EOF
echo '127.0.0.1 mem-secret.corp.example' >>"$dir/etc/hosts"
mount --bind "$dir/etc" /etc
start_server b --memory=64M --slab-size=1M --listen=mem-secret.corp.example:0
cat >>"$RSWAP_RUN_DIR/far/log" <<EOF
server secret-host: cannot connect to mem-1.secret.example:10909, alpha:$key
another line of 192.0.2.77 and 198.51.100.7
conf-secret.corp.example, mem-secret.corp.example and client-secret.corp.example
EOF
cat >"$dir/bin/journalctl" <<'EOF'
#!/bin/sh
cat <<'LINES'
rswapctl[7]: /dev/nbd0: swapping 64G to store-secret etcd://pool-secret-1,pool-secret-2:2379/blue; end it with: rswapctl detach far
rswap-nbd[8]: server store-2:10909: cannot look up "lookup-secret": Name or service not known
rswapctl[9]: rswapctl attach: SERVER argument-secret:0: allowed is a PORT from 1 to 65535
rswapctl[9]: rswapctl attach: a SERVER is missing; allowed is HOST[:PORT], one or more, or --pool=etcd://HOST.../NAME
log-secret: a log tells of it
LINES
EOF
cat >"$dir/bin/dmesg" <<'EOF'
#!/bin/sh
cat <<'LINES'
Command line: quiet zswap.enabled=1 systemd.set_credential=login:boot-secret
Unknown kernel command line parameters "rswap=1 nfsroot=boot-secret:/srv", will be passed to user space.
Adding 16380k swap on /dev/nbd0.
LINES
EOF
chmod +x "$dir"/bin/{journalctl,dmesg}
cat >"$dir/cmdline" <<'EOF'
BOOT_IMAGE=/vmlinuz quiet rswap=1 zswap.enabled=1 systemd.set_credential=login:boot-secret nfsroot=boot-secret:/srv netroot=iscsi:user:boot-secret@192.0.2.7::::iqn dyndbg="file boot-secret mem=boot-secret +p" hugepagesz=2M hugepages=64 resume=/dev/sda2
EOF
mount --bind "$dir/cmdline" /proc/cmdline
# and where a long log is cut, so little of a key that it doesn't look like one; behind
# it, in lines as long as a key's, servers that only another log tells of
perl -e '
	print "'"$key"'\n" x 8192;
	printf "%-64s\n", $_ for "swapping 1G to log-secret; end it with: rswapctl detach far",
		"store-secret, lookup-secret: the journal tells of them";
	print "and this is the very last line\n"' >>"$RSWAP_RUN_DIR/far/log"

# report OUTPUT OPTION...: unpacks it into $dir/unpacked/*
report() {
	rm -rf "$dir/unpacked"
	mkdir "$dir/unpacked"
	"$ctl" report --output="$dir/$1" "${@:2}" >"$dir/said" 2>"$dir/err" ||
		fail "report: $(cat "$dir/err")"
	tar -xzf "$dir/$1" -C "$dir/unpacked" || fail "no archive: $dir/$1"
	parts=("$dir"/unpacked/rswap-report-*)
}

in_it() { # TEXT
	grep -rqF -e "$1" "${parts[0]}"
}

nothing_is_left_behind() {
	[ -z "$(find /tmp -maxdepth 1 -name 'rswap-report.*' -newer "$dir/keys")" ]
}

report first.tar.gz far "$dir/a.ctl" "$dir/b.ctl"
[ "$(stat -c %a "$dir/first.tar.gz")" = 600 ] || fail "others may read it"
nothing_is_left_behind || fail "a directory is left behind"
diff <(sed -n 's/^  \([a-z.]*\) .*/\1/p' "$dir/said" | sort) \
	<(ls "${parts[0]}") || fail "what is listed (<) and what is in it (>) differ"
expect_line "$dir/said" "first.tar.gz: keys and the addresses"

say "it has what a developer asks for"
for part in status events check; do
	perl "$src/tests/flatten.pl" <"${parts[0]}/$part.json" >"$dir/flat"
	expect_line "$dir/flat" "targets.0" far
done
expect_line "${parts[0]}/doctor.txt" "attached far"
expect_line "${parts[0]}/processes.txt" "$program" "psk-file=$dir/keys"
expect_line "${parts[0]}/memory.txt" "MemTotal:"
expect_line "${parts[0]}/memory.txt" "/dev/nbd0"
sed -n '/cmdline/,/^$/p' "${parts[0]}/memory.txt" >"$dir/words"
diff - "$dir/words" <<'EOF' || fail "the kernel's command line"
==> /proc/cmdline <==
rswap=1
zswap.enabled=1
hugepagesz=2M
hugepages=64
resume=/dev/sda2
6 words that do not concern rswap are left out

EOF
[ "$(cat "${parts[0]}/kernel.txt")" = "Adding 16380k swap on /dev/nbd0." ] ||
	fail "kernel.txt: $(cat "${parts[0]}/kernel.txt")"
expect_line "${parts[0]}/journal.txt" "swapping 64G to host-" etcd://host- "/blue; end it"
expect_line "${parts[0]}/journal.txt" "allowed is HOST[:PORT], one or more" etcd://HOST.../NAME
expect_line "${parts[0]}/sysctl.txt" "/proc/sys/vm/swappiness ="
expect_line "${parts[0]}/versions.txt" "rswapctl $("$ctl" --version | cut -d' ' -f2)"
expect_line "${parts[0]}/versions.txt" "Linux $(uname -r)"
expect_line "${parts[0]}/config.txt" 'SERVERS="host-' "address-"
expect_line "${parts[0]}/config.txt" "OPTIONS=--listen=address-"
expect_line "${parts[0]}/config.txt" "--pool=etcd://host-" "/blue"
expect_line "${parts[0]}/config.txt" "KEYS=\"pool=etcd://host-" "/blue"
expect_line "${parts[0]}/logs.txt" "the very last line"
expect_line "${parts[0]}/status.json" '"name"' "@host-"

say "and no secrets"
for secret in "$key" "${key:50}" secret 192.0.2.77 198.51.100.7 2001:db8; do
	! in_it "$secret" || fail "it has $secret: $(grep -rF "$secret" "${parts[0]}")"
done
in_it "[key]" || fail "where are the keys?"

say "addresses only if they are asked for, and keys not then either"
report second.tar.gz far --with-addresses
for address in secret-host 192.0.2.77 2001:db8::77; do
	in_it "$address" || fail "it has no $address"
done
! in_it "${key:0:32}" || fail "it has the key: $(grep -rF "$key" "${parts[0]}")"

say "names that tar would take for something else"
for name in host:one.tar.gz -; do
	(cd "$dir" && "$ctl" report --output="$name" far >"$dir/said" 2>"$dir/err") ||
		fail "report: $(cat "$dir/err")"
	tar -tzf "$dir/./$name" >"$dir/listed" || fail "no archive: $name"
	expect_line "$dir/listed" /logs.txt
done

say "what it refuses"
[ "$(status_of "$ctl" report --output="$dir/first.tar.gz" 2>"$dir/err")" = 1 ] ||
	fail "it overwrote a file"
expect_one_line "$dir/err" "--output=$dir/first.tar.gz"
! "$ctl" report --output="$dir/no/such" >"$dir/said" 2>"$dir/err" ||
	fail "it wrote into no directory"
expect_line "$dir/err" "rswapctl report: $dir/no/such"
nothing_is_left_behind || fail "a directory is left behind"

umount /etc /proc/cmdline
detach far far || fail "detach: $(cat "$dir/far.log")"
