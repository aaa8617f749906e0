#!/bin/bash
# The scripts of examples/shell, in a directory of the test's, with stand-ins for what
# would change this machine: the first run does what it says, the second one nothing.
# What they write is what the units read, and a memory server starts with it.
# recipes-pool.sh has them with a pool.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/recipes-functions.bash"

# --- a memory server ---

server=(memory-server.sh --memory=1G --listen=127.0.0.1:0 --keys=node-7.keys
	--options=--transport=tcp rswap-memserver.deb "$dir/rswap-tools.deb")
recipe "${server[@]}" || fail "exit status $?"
files="./rswap-memserver.deb $dir/rswap-tools.deb"
says memory-server.sh "installed $files $libraries" \
	"wrote /etc/rswap/memserver.keys" "wrote /etc/default/rswap-memserver" \
	"enabled rswap-memserver.service" "started rswap-memserver.service"
calls "apt-get update -qq" "$install $files $libraries" "systemctl daemon-reload" \
	"systemctl enable --quiet rswap-memserver.service" \
	"systemctl start rswap-memserver.service"
has_mode 600 /etc/rswap/memserver.keys
has_mode 644 /etc/default/rswap-memserver
cmp "$dir/node-7.keys" "$root/etc/rswap/memserver.keys"
nothing_to_do "${server[@]}"

# The real one takes what is there, and is where the unit looks.
unit=$src/systemd/rswap-memserver.service.in
grep -q '^EnvironmentFile=-/etc/default/rswap-memserver$' "$unit" || fail "EnvironmentFile="
grep -q '^ExecStartPre=+.*-keys /etc/rswap/memserver.keys ' "$unit" || fail "the unit's keys"
OPTIONS=$(sed -n 's/^OPTIONS="\(.*\)"$/\1/p' "$root/etc/default/rswap-memserver")
# shellcheck disable=SC2086 # words, as systemd splits them
"$memserver" $OPTIONS --psk-file="$root/etc/rswap/memserver.keys" \
	--port-file="$dir/port" >"$dir/memserver.log" 2>&1 &
pid[memserver]=$!
expect 10 test -s "$dir/port"
stop memserver || fail "exit status $?"

# Another option, another key, a file that others can read, an unit that is off, a new
# package: each is put right, and nothing is restarted.
server[1]=--memory=2G
recipe "${server[@]}"
says memory-server.sh "wrote /etc/default/rswap-memserver" \
	"rswap-memserver.service goes on as it was started; systemctl restart asks its clients to move their pages first"
calls "systemctl daemon-reload"
cat "$dir/node-8.keys" >>"$dir/node-7.keys"
recipe "${server[@]}"
says memory-server.sh "wrote /etc/rswap/memserver.keys" "rswap-memserver.service has the new keys"
calls "systemctl reload rswap-memserver.service"
chmod 644 "$root/etc/rswap/memserver.keys"
recipe "${server[@]}"
has_mode 600 /etc/rswap/memserver.keys
rm "$dir/units/rswap-memserver.service.enabled"
recipe "${server[@]}"
says memory-server.sh "enabled rswap-memserver.service"
deb rswap-tools 0.2
recipe "${server[@]}"
grep -qx "memory-server.sh: installed $dir/rswap-tools.deb" "$dir/said" || fail "no new package"
nothing_to_do "${server[@]}"

# --- a machine that swaps, from a repository ---

repository="deb [signed-by=/etc/apt/keyrings/rswap.asc] https://packages.example bookworm main"
node=(compute-node.sh --name=far "--servers=10.0.0.1 10.0.0.2" "--size=ram / 2"
	--keys=node-8.keys --options=--replicas=2 "--repository=$repository")
echo active >"$dir/units/kubelet.service.active"
rm "$dir"/packages/*
recipe "${node[@]}" || fail "exit status $?"
says compute-node.sh "wrote /etc/apt/sources.list.d/rswap.list" \
	"installed rswap-nbd rswap-tools $libraries" \
	"wrote /etc/rswap/far.keys" "wrote /etc/rswap/far.conf" \
	"enabled rswap@far.service" "started rswap@far.service" \
	"kubelet has started before this swap: systemctl restart kubelet"
calls "apt-get update -qq" "$install rswap-nbd rswap-tools $libraries" \
	"systemctl daemon-reload" "systemctl enable --quiet rswap@far.service" \
	"systemctl start rswap@far.service"
has_mode 600 /etc/rswap/far.keys
printf '%s\n' '# by compute-node.sh' 'SERVERS="10.0.0.1 10.0.0.2"' 'SIZE="ram / 2"' \
	'FRONT=nbd' 'OPTIONS="--psk-file=/etc/rswap/far.keys --replicas=2"' |
	diff - "$root/etc/rswap/far.conf" || fail "far.conf"
nothing_to_do "${node[@]}"

# The unit has all four, and attach what is in them.
for word in '--size=${SIZE}' '--front=${FRONT}' '$OPTIONS $SERVERS'; do
	grep -qF -- "$word" "$src/systemd/rswap@.service.in" || fail "the unit has no $word"
done
for option in psk-file replicas; do
	"$build/ctl/rswapctl" attach --help | grep -e "--$option=" >/dev/null || fail "--$option"
done

# A server that is away: systemd tries again, and the script says where to look.
node[1]=--name=away
touch "$dir/units/rswap@away.service.fails"
! recipe "${node[@]}" || fail "no failure"
grep -qx "compute-node.sh: rswap@away.service does not start yet: systemctl status rswap@away.service" \
	"$dir/said" || fail "$(cat "$dir/said")"
echo activating >"$dir/units/rswap@away.service.active"
nothing_to_do "${node[@]}"

# With ublk.
recipe compute-node.sh --name=other --servers=10.0.0.1 --size=1G --keys=node-8.keys --front=ublk \
	rswap-ublk.deb rswap-tools.deb
grep -qx 'FRONT=ublk' "$root/etc/rswap/other.conf" || fail "$(cat "$root/etc/rswap/other.conf")"
[ -e "$dir/packages/rswap-ublk" ] || fail "no rswap-ublk"

# --- what is wrong ---

ok=(--memory=1G --listen=10.0.0.1 --keys=node-8.keys)
refuses "--memory=1X: allowed is a number" memory-server.sh --memory=1X "${ok[@]:1}"
refuses "--memory=: allowed is a number" memory-server.sh "${ok[@]:1}"
refuses "--listen=a b: allowed is HOST" memory-server.sh "${ok[@]}" "--listen=a b"
refuses "--memry=1G: there is no such option" memory-server.sh --memry=1G
refuses '--options=": allowed is text' memory-server.sh "${ok[@]}" '--options="'
refuses "--options=--psk-file=x: allowed are options other than" \
	memory-server.sh "${ok[@]}" --options=--psk-file=x
refuses "--keys=none: there is no such file" memory-server.sh "${ok[@]}" --keys=none
printf 'node:abc\n' >"$dir/bad.keys"
refuses "--keys=bad.keys, line 1: allowed is NAME:HEXKEY" memory-server.sh "${ok[@]}" --keys=bad.keys
! grep -q abc "$dir/said" || fail "it tells a key"
: >"$dir/bad.keys"
refuses "--keys=bad.keys: it has no key" memory-server.sh "${ok[@]}" --keys=bad.keys
refuses "bad.keys: it is no Debian package" memory-server.sh "${ok[@]}" bad.keys
ok=(--name=far --servers=10.0.0.1 --size=1G --keys=node-8.keys)
refuses "--name=../far: allowed are" compute-node.sh "${ok[@]}" --name=../far
refuses "--servers=: allowed is HOST" compute-node.sh "${ok[@]}" --servers=
refuses '--servers=$(id): allowed are HOST' compute-node.sh "${ok[@]}" '--servers=$(id)'
refuses "--size=: allowed is a size" compute-node.sh "${ok[@]}" --size=
refuses "--front=nbdkit: allowed is nbd or ublk" compute-node.sh "${ok[@]}" --front=nbdkit
refuses "--options=--size=2G: allowed are options other than" \
	compute-node.sh "${ok[@]}" --options=--size=2G
if [ "$(id -u)" = 0 ] && setpriv --version >/dev/null 2>&1; then
	! (unset DESTDIR && cd / && setpriv --reuid=65534 --clear-groups \
		sh "$src/examples/shell/memory-server.sh") >"$dir/said" 2>&1 ||
		fail "it takes anybody"
	expect_one_line "$dir/said" "memory-server.sh: it needs root"
fi

# No key was ever told, and nothing is left.
[ -z "$(find "$root" -name '*.new')" ] || fail "left: $(find "$root" -name '*.new')"

# Each script is one file, so that user-data can have it; what both do is the same.
for script in memory-server compute-node; do
	sed -n '/^# --- the same/,/^# --- so far/p' "$src/examples/shell/$script.sh" \
		>"$dir/$script.same"
	[ "$(wc -l <"$dir/$script.same")" -gt 50 ] || fail "$script.sh is not understood"
done
diff "$dir/memory-server.same" "$dir/compute-node.same" || fail "they differ"
