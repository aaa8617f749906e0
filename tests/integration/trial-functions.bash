# shellcheck shell=bash disable=SC2154
# For tests of the commands of rswapctl that serve a device of their own for a
# while.  Source it after functions.sh.

ctl=$build/ctl/rswapctl
PATH=$build/plugin:$PATH
export TMPDIR=$dir/tmp
mkdir "$TMPDIR"

# leaves_nothing COMMAND STATUS WORD...: rswapctl COMMAND, with this exit status; what
# it says goes to $dir/said, and its errors to $dir/err
leaves_nothing() {
	local command=$1 wanted=$2 status=0
	shift 2
	"$ctl" "$command" "$@" >"$dir/said" 2>"$dir/err" || status=$?
	[ "$status" = "$wanted" ] ||
		fail "$command $*: exit status $status: $(cat "$dir/said" "$dir/err")"
	[ -z "$(ls "$TMPDIR")" ] || fail "$command $* left $(ls "$TMPDIR")"
	! pgrep -f "^$rswap_nbd .*control=$TMPDIR" || fail "rswap-nbd runs on"
}
