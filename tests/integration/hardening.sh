#!/bin/bash
# A memory server that serves can do little else: no thread of it has a
# capability, the kernel filters its system calls, its memory is in no core dump
# and closed to other processes of its user.  It does all of its work like that.
# The plugin's process and rswap-nbd have no capabilities either, and are closed as
# well.
. "$(dirname "$0")/functions.sh"

[ -z "$sanitizer" ] || skip "a sanitizer makes system calls of its own"
own=$dir/own
mkdir "$own"

# What the threads of the process NAME have as FIELD of their status.
threads_have() { # NAME FIELD
	sed -n "s/^$2:[[:space:]]*//p" "/proc/${pid[$1]}/task"/*/status | sort -u
}

have() { # NAME FIELD VALUE
	[ "$(threads_have "$1" "$2")" = "$3" ]
}

# Real, effective, saved and file system's, as the status shows them.
four() { # NUMBER
	printf '%s\t%s\t%s\t%s' "$1" "$1" "$1" "$1"
}

# No capability but those of MASK, which nobody here may do without.
has_at_most() { # NAME MASK
	local set has
	for set in CapPrm CapEff CapInh CapAmb; do
		for has in $(threads_have "$1" $set); do
			[ $((0x$has & ~$2)) = 0 ] || return 1
		done
	done
}

# The limit that makes a capability superfluous.
limit_of() { # NAME LIMIT
	sed -n "s/^Max $2  *\([^ ]*\).*/\1/p" "/proc/${pid[$1]}/limits"
}

# CAP_IPC_LOCK stays if nobody here may lift the limit of locked memory, and
# CAP_SYS_NICE if that of real-time priority.
unprivileged() { # NAME
	local mask=0
	[ "$(limit_of "$1" "locked memory")" = unlimited ] ||
		mask=$((mask | 1 << 14))
	[ "$1" != p ] || [ "$(limit_of p "realtime priority")" != 0 ] ||
		mask=$((mask | 1 << 23))
	expect 5 has_at_most "$1" $mask
	have "$1" NoNewPrivs 1 || fail "$1 may get privileges"
}

# A root without CAP_SYS_PTRACE may look into a process that may leave a core
# dump, and into no other.
reader=(setpriv --bounding-set=-sys_ptrace readlink)
sealed() { # NAME
	"${reader[@]}" /proc/self/exe >/dev/null 2>&1 || return 0
	! "${reader[@]}" "/proc/${pid[$1]}/exe" >/dev/null 2>&1 ||
		fail "others may read the memory of $1"
}

confined() { # NAME
	expect 5 have "$1" Seccomp 2
	unprivileged "$1"
	sealed "$1"
}

# The mappings of the process NAME that match HEAD are left out of dumps ("dd").
left_out() { # NAME HEAD
	awk -v head="$2" '/^[0-9a-f]+-/ { ours = $0 ~ head }
		ours && /^VmFlags:/ { n++; dumped += !/ dd( |$)/ }
		END { exit !n || dumped }' "/proc/${pid[$1]}/smaps"
}

# What a process with the keys and the pages of this machine leaves to others.
closed() { # NAME
	unprivileged "$1"
	sealed "$1"
	[ "$(limit_of "$1" "core file size")" = 0 ] || fail "$1 may dump a core"
	[ ! -r "/proc/${pid[$1]}/smaps" ] || left_out "$1" '\[heap\]$' ||
		fail "its keys are in a dump of $1"
}

# All that a server does, under the filter.
works() { # NAME
	local front
	for front in nbdkit nbd; do
		start_plugin p "$(server "$1")" size=32M lanes=4
		closed p
		expect_req p ok write:0:8M:3
		expect_req p "stamp 3" read:0:8M
		expect_req p ok trim:0:4M
		"$build/ctl/rswapctl" drain --control="$dir/$1.ctl" >"$dir/out"
		expect_line "$dir/out" draining
		"$build/ctl/rswapctl" drain --undo --control="$dir/$1.ctl" \
			>"$dir/out"
		expect 10 is p servers.0.free_bytes -gt 0
		expect_req p ok write:16M:8M:5
		stop p || fail "$front: exit status $?"
		expect 5 is "$1" sessions -eq 0
	done
	stop "$1" || fail "$1: exit status $?"
	for file in pid port ctl; do
		[ ! -e "$dir/$1.$file" ] || fail "$1 leaves its $file"
	done
	! has "$dir/$1.log" "not implemented" || fail "$(cat "$dir/$1.log")"
}

start_server s --memory=64M --pidfile="$dir/s.pid"
confined s
if [ "$(id -u)" = 0 ]; then
	expect_line "$dir/s.log" "serving as root" --user=NAME
fi

# All slabs, and those that are locked, are left out of a core dump ("dd").
if [ -r "/proc/${pid[s]}/smaps" ]; then
	awk '/^Size:/ { kib = $2 }
		/^VmFlags:/ && / dd/ { left_out += kib }
		/^VmFlags:/ && / lo/ && !/ dd/ { dumped += kib }
		END { exit dumped || left_out < 65536 }' \
		"/proc/${pid[s]}/smaps" || fail "slabs are in its core dump"
fi
works s

# rswap-nbd makes no file but in the directories of its own.
makes() { # FILE: what it says at its end
	: >"$dir/q.log"
	(
		export LD_PRELOAD=$programs/elsewhere.so RSWAP_TEST_ELSEWHERE=$1
		exec "$rswap_nbd" -U "$dir/q.sock" control="$dir/q.ctl" "$(server t)" size=16M
	) >"$dir/q.log" 2>&1 &
	pid[q]=$!
	expect 20 serves_or_ended q
	stop q || fail "exit status $?"
	has_line "$dir/q.log" "elsewhere: $2" || { rm -rf "$elsewhere"; fail "$(cat "$dir/q.log")"; }
}
start_server t --memory=64M
elsewhere=$dir.elsewhere
mkdir "$elsewhere"
makes "$dir/made" written
if landlock=$(perl -e 'print syscall(444, 0, 0, 1)') && [ "$landlock" -gt 0 ]; then
	makes "$elsewhere/made" "Permission denied"
	rmdir "$elsewhere" || fail "it was made"
else
	rmdir "$elsewhere"
	say "without Landlock"
fi
stop t || fail "exit status $?"

# The filter alone can be left out.
start_server s --memory=64M --no-seccomp
have s NoNewPrivs 1 || fail "it may get privileges"
have s Seccomp 0 || fail "there is a filter"
stop s || fail "exit status $?"

# As another user.  Its files are in a directory of that user.
if [ "$(id -u)" != 0 ] || ! id nobody >/dev/null 2>&1; then
	say "no other user can be tried here"
	exit 0
fi
chmod 755 "$dir"
chown nobody "$own"
start_server own/n --memory=64M --user=nobody --pidfile="$own/n.pid"
confined own/n
want=$(id -u nobody)
have own/n Uid "$(four "$want")" ||
	fail "it is user $(threads_have own/n Uid)"
want=$(id -g nobody)
have own/n Gid "$(four "$want")" ||
	fail "it is of group $(threads_have own/n Gid)"
[ "$(threads_have own/n Groups | xargs)" = "$(id -G nobody)" ] ||
	fail "it is of the groups $(threads_have own/n Groups)"
# The kernel shows its memory to processes of its user where these own this file.
[ "$(stat -c %u "/proc/${pid[own/n]}/mem")" = 0 ] ||
	fail "another process of its user reads its memory"
! has "$own/n.log" "serving as root" || fail "it says that it is root"
works own/n
