#!/bin/bash
# The keys that rswap-memserver.service gives to the server, at start and when it is
# reloaded: rswap-memserver-keys, as root, with another user in the place of the unit's.
. "$(dirname "$0")/functions.sh"

requires test "$(id -u)" = 0
chmod 755 "$dir" # the user below reads
user=54321
file=$dir/memserver.keys
copy=$dir/copies/keys
mkdir "$dir/runtime"
chown $user "$dir/runtime"

give() { # its exit status; what it says goes to $dir/said
	local status=0
	"$src/systemd/rswap-memserver-keys" "$file" "$copy" "$dir/runtime" >"$dir/said" 2>&1 || status=$?
	echo $status
}
has_copy() {
	[ "$(stat -c '%u %a' "$copy")" = "$user 400" ] || fail "the copy is $(stat -c '%u %a' "$copy")"
	[ "$(stat -c '%u %a' "${copy%/*}")" = "0 711" ] || fail "its directory is $(stat -c '%u %a' "${copy%/*}")"
}

say "no file"
[ "$(give)" = 0 ] || fail "$(cat "$dir/said")"
has_copy
[ "$(cat "$copy")" = "# there is no $file" ] || fail "$(cat "$copy")"

say "keys, and other keys"
for name in alpha beta; do
	"$build/ctl/rswapctl" genkey $name >"$file"
	chmod 600 "$file"
	[ "$(give)" = 0 ] || fail "$(cat "$dir/said")"
	has_copy
	cmp "$file" "$copy"
	[ "$(ls "${copy%/*}")" = keys ] || fail "left: $(ls "${copy%/*}")"
done

say "a file that others can read, or that is not root's"
for mode in 0604 0640 0660; do
	echo worse >"$file"
	chmod $mode "$file"
	[ "$(give)" = 1 ] || fail "mode $mode"
	expect_one_line "$dir/said" "$file: others can read it (mode $mode)" "0600 or 0400"
	! grep '^<' "$dir/said" || fail "a priority in a file"
	[ "$(JOURNAL_STREAM=$(stat -c %d:%i "$dir/said") give)" = 1 ] || fail "mode $mode"
	expect_one_line "$dir/said" "<3>$file: others can read it (mode $mode)"
	has "$copy" beta: || fail "the copy went"
done
chmod 600 "$file"
chown $((user + 1)) "$file"
[ "$(give)" = 1 ] || fail "somebody else's"
expect_one_line "$dir/said" "$file: it must belong to root, or to the server's user"
has "$copy" beta: || fail "the copy went"
rm "$file"
[ "$(give)" = 1 ] || fail "it is gone"
expect_one_line "$dir/said" "$file: it is gone; the server keeps the keys that it has"
has "$copy" beta: || fail "the copy went"
[ "$(ls "${copy%/*}")" = keys ] || fail "left: $(ls "${copy%/*}")"

say "a file of the server's user, by a symbolic link"
"$build/ctl/rswapctl" genkey gamma >"$dir/real"
chmod 600 "$dir/real"
chown $user "$dir/real"
ln -s real "$file"
[ "$(give)" = 0 ] || fail "$(cat "$dir/said")"
has_copy
setpriv --reuid=$user --clear-groups cat "$copy" | cmp - "$dir/real" || fail "the user cannot read it"
rm "$file"

say "the unit names it, the server takes the copy, and hears of new keys"
place=libexec/rswap/rswap-memserver-keys
[ "$(grep -c "^Exec.*=+@rswap_helper_dir@/${place##*/} /etc/rswap/memserver.keys " \
	"$src/systemd/rswap-memserver.service.in")" = 2 ] || fail "the unit"
DESTDIR=$dir/root cmake --install "$build" --component memserver --prefix /usr >/dev/null
[ -x "$dir/root/usr/$place" ] || fail "it is not installed"
user=0 # the server's, here
chown $user "$dir/runtime"
"$build/ctl/rswapctl" genkey alpha >"$file"
chmod 600 "$file"
[ "$(give)" = 0 ] || fail "$(cat "$dir/said")"
start_server s --memory=16M --psk-file="$copy"
"$build/ctl/rswapctl" genkey beta >>"$file"
[ "$(give)" = 0 ] || fail "$(cat "$dir/said")"
kill -HUP "${pid[s]}"
expect_line "$dir/s.log" "SIGHUP: $copy has 2 keys"
stop s
