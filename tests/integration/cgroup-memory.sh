#!/bin/bash
# A memory limit of the server's cgroup, or of one above it: --memory that can
# never fit is refused at start, what does not fit now is refused to clients, and
# the kernel never kills.  With cgroup v2 or v1, whichever has the memory
# controller here; tests/vm runs it with the other one.
. "$(dirname "$0")/functions.sh"

[ -z "$sanitizer" ] || skip "a sanitizer needs more memory than the server"

# --- a group below a limited group ---

controller_root() {
	local root
	for root in $(awk '$3 == "cgroup2" { print $2 }' /proc/self/mounts); do
		grep -qw memory "$root/cgroup.controllers" || continue
		version=2 top=$root
		return
	done
	root=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' \
		/proc/self/mounts)
	[ "$root" ] || skip "no memory controller"
	version=1 top=$root
}

controller_root
limited=$top/rswap-test.$$
inner=$limited/inner
mkdir "$limited" 2>/dev/null || skip "may not make a cgroup in $top"

remove_groups() {
	rmdir "$inner" "$limited" 2>/dev/null
}

leave() {
	local status=$? group
	trap - EXIT
	for group in "$inner" "$limited"; do
		[ ! -e "$group/cgroup.procs" ] ||
			xargs -r kill -KILL <"$group/cgroup.procs" 2>/dev/null
	done
	wait_for 10 remove_groups
	(exit "$status")
	cleanup
}
trap leave EXIT

if [ "$version" = 2 ]; then
	echo +memory >"$top/cgroup.subtree_control" 2>/dev/null ||
		skip "cannot hand down the memory controller"
	echo +memory >"$limited/cgroup.subtree_control"
	limit_file=$limited/memory.max
else
	limit_file=$limited/memory.limit_in_bytes
fi
mkdir "$inner"

# v1 refuses a limit that is below what is in use
set_limit() { # SIZE
	echo "$1" 2>/dev/null >"$limit_file"
}

kills() {
	if [ "$version" = 2 ]; then
		awk '$1 == "oom_kill" { print $2 }' "$limited/memory.events"
	else
		cat "$limited/memory.oom_control" "$inner/memory.oom_control" |
			awk '$1 == "oom_kill" { n += $2 } END { print n + 0 }'
	fi
}

# Starts what it is given in the inner group.
cat >"$dir/inside" <<-END
	#!/bin/bash
	echo \$\$ >$inner/cgroup.procs || exit 99
	exec "\$@"
END
cat >"$dir/memserver" <<-END
	#!/bin/bash
	exec "$dir/inside" "$memserver" "\$@"
END
chmod +x "$dir/inside" "$dir/memserver"
memserver=$dir/memserver

# --- a client that holds what it was granted ---

# client NAME SERVER
client() {
	mkfifo "$dir/$1.in"
	perl "$here/alloc.pl" "${port[$2]}" <"$dir/$1.in" >"$dir/$1.out" \
		2>"$dir/$1.log" &
	pid[$1]=$!
	exec {asks}>"$dir/$1.in"
}

answers() {
	[ "$(wc -l <"$dir/$1.out")" -ge "$2" ] || gone "${pid[$1]}"
}

# granted NAME N: asks for N slabs; sets slabs and code
granted() {
	local had
	had=$(wc -l <"$dir/$1.out")
	echo "$2" >&"$asks"
	expect 20 answers "$1" $((had + 1))
	read -r _ slabs _ code <<<"$(tail -n 1 "$dir/$1.out")"
}

say "cgroup v$version in $top"

# --- it can never fit ---

set_limit 80M
status=0
timeout -s KILL 30 "$memserver" --memory=256M --slab-size=4M --transport=tcp \
	--listen=127.0.0.1:0 >"$dir/out" 2>"$dir/err" || status=$?
[ "$status" = 1 ] || fail "with --memory=256M in 80M: exit status $status"
expect_one_line "$dir/err" "--memory=256M" "80M" "$limit_file"

# --- it does not fit now ---

start_server s --memory=64M --slab-size=4M --stock=0 --transport=tcp
client c s
"$dir/inside" perl -e '$x = "x" x shift; sleep 1000' $((30 << 20)) &
pid[hog]=$!
has_hog() {
	local file=$limited/memory.current
	[ "$version" = 2 ] || file=$limited/memory.usage_in_bytes
	[ "$(cat "$file")" -gt $((30 << 20)) ]
}
expect 10 has_hog
granted c 16
[ "$code" = 3 ] || fail "$slabs of 16 slabs granted beside a hog, error $code"
[ "$slabs" -gt 0 ] || fail "nothing was granted, though there is room"
expect_line "$dir/s.log" "cannot populate a slab of 4M" "80M" "$limit_file"
say "beside 30 MiB of another process: $slabs slabs of 4 MiB"

# --- nor without file descriptors ---

files=$(find "/proc/${pid[s]}/fd" -type l | wc -l)
prlimit --pid "${pid[s]}" --nofile="$files:"
granted c 16
[ "$slabs $code" = "0 3" ] ||
	fail "without descriptors: $slabs slabs granted, error $code"
alive s || fail "the server is gone"
prlimit --pid "${pid[s]}" --nofile=1024:

# --- it fits again ---

kill -KILL "${pid[hog]}"
wait "${pid[hog]}" || true
unset "pid[hog]"
all_granted() {
	granted c 1
	total=$((total + slabs))
	[ "$total" = 16 ]
}
total=$(value s slabs_used)
expect 20 all_granted
[ "$(kills)" = 0 ] || fail "the kernel has killed"

# --- a limit that comes later, or is lowered ---

exec {asks}>&-
wait "${pid[c]}" || fail "the client: $(cat "$dir/c.log")"
unset "pid[c]"
expect 10 is s slabs_used -eq 0
client d s
granted d 4
[ "$slabs" = 4 ] || fail "$slabs of 4 slabs granted"
expect 10 set_limit 40M
granted d 12
[ "$code" = 3 ] || fail "$slabs more slabs granted in 40 MiB, error $code"
expect_line "$dir/s.log" "cannot populate a slab of 4M" "40M" "$limit_file"
say "in 40 MiB: $((4 + slabs)) slabs of 4 MiB"

# --- a process that is moved ---

echo "${pid[s]}" >"$top/cgroup.procs"
granted d 4
[ "$slabs" = 4 ] || fail "$slabs of 4 slabs granted in a group without limit"
echo "${pid[s]}" >"$inner/cgroup.procs"
granted d 1
[ "$slabs" = 0 ] || fail "granted in a full group that it was moved to"
expect_value s slabs_used -lt 16
[ "$(kills)" = 0 ] || fail "the kernel has killed"
exec {asks}>&-
wait "${pid[d]}" || fail "the client: $(cat "$dir/d.log")"
unset "pid[d]"
stop s || fail "exit status $? after SIGTERM"
