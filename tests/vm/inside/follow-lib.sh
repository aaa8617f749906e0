# shellcheck shell=bash disable=SC2154
# Follows README and docs/quickstart.md, on a machine that is both of theirs, store
# and node.  Source it after lib.sh and doc-commands.bash, and systemd-lib.sh where
# units are started.

said=/run/said
transport=tcp # over which the pages go
trial_pid=
by_hand_pid=
attached_name=

# The way to the other machine, which is this one.
be_both_machines()
{
	mkdir -p /run/bin
	printf '#!/bin/sh\nexec cp "$1" "${2#store:}"\n' >/run/bin/scp
	printf '#!/bin/sh\nshift\nexec sh -c "$*"\n' >/run/bin/ssh
	chmod +x /run/bin/{scp,ssh}
	PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin
}

swap_is_on()
{
	grep -qE '^/dev/(nbd|ublkb)[0-9]' /proc/swaps
}

# A program whose memory goes out and comes back, every page checked.
swap()
{
	local results=/run/pagecheck.results
	swap_is_on || die "no swap: $(</proc/swaps)"
	make_cgroup limited 40M
	run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size=80M \
		--random=500 >$results
	[ "$(result_value pswpout $results)" -gt 5000 ] ||
		die "only $(result_value pswpout $results) pages were swapped out"
	[ "$(result_value mismatches $results)" = 0 ] || die "pages are wrong"
}

# start_in_background COMMAND LOG WORDS: until its log has the words; $! is its process
start_in_background()
{
	# as it stands there, but for "&" and a comment at its end
	eval "${1%%[&#]*} >$2 2>&1 </dev/null &"
	await 60 grep -q -e "$3" "$2" || die "it does not say \"$3\": $(<"$2")"
}

# Ctrl-C, as the page says.
end_trial()
{
	[ -n "$trial_pid" ] || return 0
	kill -INT "$trial_pid"
	wait "$trial_pid" || die "the memory server ended with status $?"
	trial_pid=
}

# run_as_it_stands COMMAND: what it says goes to $said.  What looks for faults may
# find some.
run_as_it_stands()
{
	local status=0
	eval "$1" >$said 2>&1 </dev/null || status=$?
	cat $said
	case $1 in
	"rswapctl doctor"* | "rswapctl check"*) [ $status -le 1 ] ;;
	*) [ $status = 0 ] ;;
	esac || die "exit status $status of: $1"
}

# must_say WORDS
must_say()
{
	grep -q -e "$1" $said || die "it does not say \"$1\""
}

# What a command is for.
look_after()
{
	case $1 in
	"rswapctl doctor 10"*) must_say "65G free" ;;
	"rswapctl attach"* | *"enable --now rswap@far"*) swap ;;
	"rswapctl status"*)
		must_say "swap on /dev/"
		must_say "10\.0\.0\.1.* $transport "
		attached_name=$(sed -n '1s,: /dev/.*,,p' $said)
		;;
	"rswapctl detach"* | *"disable --now rswap@far"*)
		! swap_is_on || die "swap is on: $(</proc/swaps)"
		;;
	*"enable --now rswap-memserver"*)
		want rswap-memserver ActiveState=active
		;;
	*"disable --now rswap-memserver"*)
		want rswap-memserver ActiveState=inactive
		;;
	esac
}

# follow_command COMMAND: of a page
follow_command()
{
	local command=$1
	say "$command"
	case $command in
	"rswap-memserver "*)
		start_in_background "$command" /run/trial.log "listening on"
		trial_pid=$!
		return
		;;
	"rswap-nbd "* | "rswap-ublk "*)
		start_in_background "$command" /run/by-hand.log \
			"serving 64G from 1 server"
		by_hand_pid=$!
		return
		;;
	"rswapctl bench NAME"*) command=${command/NAME/$attached_name} ;;
	*"enable --now rswap-memserver"*) end_trial ;;
	esac
	run_as_it_stands "$command"
	# The same on the other machine.
	[[ $command != *"# on node 10."* ]] ||
		run_as_it_stands "${command/10.0.0.1\/24/${command##*# on node }}"
	look_after "$command"
}
