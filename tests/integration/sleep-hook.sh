#!/bin/bash
# What rswap-sleep does before the machine sleeps, and after, with stand-ins for
# rswapctl and systemctl.  tests/vm has the real ones.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir"/{bin,conf,run/far,run/near}
touch "$dir"/run/{far,near}/state "$dir"/conf/{far,near}.conf

fail() {
	echo "sleep-hook: $*" >&2
	cat "$dir/said" "$dir/calls" >&2
	exit 1
}

# Notes each call; "detach NAME" fails for the names in $dir/stuck, and has lost pages
# for those in $dir/lossy.  A unit is active,
# or has the states that are in $dir/states-NAME, one for each question; the last one
# stays.  Only sleep lets time pass.
cat >"$dir/bin/rswapctl" <<-'END'
	#!/bin/sh
	echo "rswapctl $1 $2" >>"$RSWAP_TEST/calls"
	! grep -qsx "$2" "$RSWAP_TEST/ends-helper" || kill -KILL "$PPID"
	! grep -qx "$2" "$RSWAP_TEST/stuck" || exit 1
	! grep -qsx "$2" "$RSWAP_TEST/lossy" || exit 2
END
cat >"$dir/bin/systemctl" <<-'END'
	#!/bin/sh
	states=$RSWAP_TEST/states-${2#rswap@}
	if [ "$1" != is-active ]; then
		echo "systemctl $*" >>"$RSWAP_TEST/calls"
	elif [ ! -e "$states" ]; then
		echo active
	else
		head -n 1 "$states"
		[ "$(wc -l <"$states")" = 1 ] || sed -i 1d "$states"
		! grep -qx gone "$states" || rm -r "$RSWAP_RUN_DIR/${2#rswap@}"
		exit 3
	fi
END
cat >"$dir/bin/sleep" <<-'END'
	#!/bin/sh
	echo $(($(cat "$RSWAP_TEST/clock") + 1)) >"$RSWAP_TEST/clock"
END
cat >"$dir/bin/date" <<-'END'
	#!/bin/sh
	cat "$RSWAP_TEST/clock"
END
echo 1000 >"$dir/clock"
chmod +x "$dir"/bin/*

# setting NAME VALUE
setting() {
	printf 'SIZE=1G\n%s\n' "${2:+SLEEP=$2}" >"$dir/conf/$1.conf"
}

# sleeps before|after OPERATION: the hook's exit status.
sleeps() {
	: >"$dir/calls"
	RSWAP_TEST=$dir RSWAP_RUN_DIR=$dir/run RSWAP_CONF_DIR=$dir/conf \
		PATH=$dir/bin:$PATH sh "$src/systemd/rswap-sleep" "$@" \
		>"$dir/said" 2>&1
}

calls() { # CALL...: these, and no others
	printf '%s\n' "$@" | diff - "$dir/calls" || fail "other calls"
}

no_calls() {
	[ ! -s "$dir/calls" ] || fail "calls"
}

stays_awake() { # "REASON" OPERATION
	! sleeps before "$2" || fail "it sleeps, expected: $1"
	grep -qF "stays awake: $1" "$dir/said" || fail "no reason: $1"
}

: >"$dir/stuck"

for operation in suspend hibernate; do
	sleeps before $operation || fail "it does not sleep"
	calls "rswapctl detach far" "rswapctl detach near"
	sleeps after $operation
	calls "systemctl --no-block start rswap@far" \
		"systemctl --no-block start rswap@near"
	# only once
	sleeps after $operation
	no_calls
done

# A device whose pages were lost before is detached like any other.
echo far >"$dir/lossy"
sleeps before suspend || fail "it does not sleep"
calls "rswapctl detach far" "rswapctl detach near"
sleeps after suspend
calls "systemctl --no-block start rswap@far" "systemctl --no-block start rswap@near"
rm "$dir/lossy"

# What was detached comes back when another device keeps the machine awake.
echo near >"$dir/stuck"
stays_awake "near cannot be detached" suspend
calls "rswapctl detach far" "rswapctl detach near" \
	"systemctl --no-block start rswap@far" "systemctl --no-block start rswap@near"
! grep -q '^<' "$dir/said" || fail "a priority in a file"
JOURNAL_STREAM=$(stat -c %d:%i "$dir/said") stays_awake "near cannot be detached" suspend
grep -q '^<3>the machine stays awake: near' "$dir/said" || fail "no error in the journal"
: >"$dir/stuck"

# The helper is ended in the middle of a detach, as at the end of its time.  What was
# detached comes back, and of the others systemd knows that they are there.
echo near >"$dir/ends-helper"
! sleeps before suspend || fail "it sleeps"
sleeps after suspend
calls "systemctl --no-block start rswap@far" "systemctl --no-block start rswap@near"
rm "$dir/ends-helper"
grep -q '^ExecStopPost=.*/rswap-sleep after ' "$src/systemd/rswap-sleep@.service.in" ||
	fail "nothing brings back what was detached after a start that failed"

echo inactive >"$dir/states-far"
stays_awake "far was attached by hand" suspend
no_calls
echo failed >"$dir/states-far"
stays_awake "rswap@far has failed, and far is attached: rswapctl detach far" suspend
no_calls

# attach is at work
printf '%s\n' activating activating activating active >"$dir/states-far"
sleeps before suspend || fail "it does not sleep"
calls "rswapctl detach far" "rswapctl detach near"
sleeps after suspend
echo activating >"$dir/states-far"
stays_awake "rswap@far is still attaching" suspend
no_calls
# detach is
echo deactivating >"$dir/states-far"
stays_awake "rswap@far is still detaching" suspend
no_calls
printf '%s\n' deactivating deactivating gone >"$dir/states-far"
sleeps before suspend || fail "it does not sleep"
calls "rswapctl detach near"
sleeps after suspend
rm "$dir/states-far"
mkdir "$dir/run/far"
touch "$dir/run/far/state"

setting far keep
setting near '"keep"'
sleeps before suspend || fail "it does not sleep"
no_calls
for operation in hibernate hybrid-sleep suspend-then-hibernate; do
	stays_awake "far: SLEEP=keep allows suspend, and not $operation" \
		$operation
	no_calls
done

setting far refuse
stays_awake "far: SLEEP=refuse" suspend
# another file says otherwise, and the last one counts
mkdir "$dir/conf/far.conf.d"
echo SLEEP=refuse >"$dir/conf/far.conf.d/10-one.conf"
echo "SLEEP='keep'" >"$dir/conf/far.conf.d/20-two.conf"
sleeps before suspend || fail "it does not sleep"
rm "$dir/conf/far.conf.d/20-two.conf"
setting far keep
stays_awake "far: SLEEP=refuse in $dir/conf/far.conf or far.conf.d" suspend
rm -r "$dir/conf/far.conf.d"
setting far never
stays_awake "$dir/conf/far.conf: SLEEP=never: allowed is" suspend

# Swap whose front end is gone may be on until the machine restarts.
true &
wait $!
echo "pid $!" >"$dir/run/far/state"
printf 'pid %s\nstart %s\n' $$ "$(sed 's/.*) //' /proc/$$/stat | cut -d' ' -f20)" \
	>"$dir/run/near/state"
setting near detach
sleeps before suspend || fail "it does not sleep with dead swap"
calls "rswapctl detach near"
sleeps after suspend
# another process has the pid meanwhile
printf 'pid %s\nstart 1\n' $$ >"$dir/run/far/state"
sleeps before suspend || fail "it does not sleep with dead swap"
calls "rswapctl detach near"
sleeps after suspend

# A lock or a record is no device.
rm -r "$dir"/run/{far,near}
touch "$dir/run/.far.lock"
sleeps before hibernate || fail "it does not sleep without a device"
no_calls
