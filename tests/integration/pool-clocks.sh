#!/bin/bash
# Wall clocks that are apart, and that are set while programs run: leases, sessions,
# reservations and deadlines notice nothing.  wallclock.so makes the clocks.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

[ -z "$sanitizer" ] || skip "a sanitizer wants its own library loaded before wallclock.so"
ctl=$build/ctl/rswapctl

# Sets the clock of NAME so many days ahead.
set_clock() { # NAME DAYS
	perl -e 'my ($file, $days) = @ARGV;
		open my $f, -e $file ? "+<" : ">", $file or die "$file: $!";
		print $f pack("q", $days * 86400)' "$dir/$1.clock" "$2"
}
# with_clock NAME FUNCTION...: what the function starts has NAME's clock
with_clock() {
	local name=$1 status=0
	shift
	export LD_PRELOAD=$programs/wallclock.so WALLCLOCK_FILE=$dir/$name.clock
	"$@" || status=$?
	unset LD_PRELOAD WALLCLOCK_FILE
	return "$status"
}

# How many days the clock of NAME, by its metrics, was ahead when it began to serve.
days_ahead() { # NAME
	curl -fsS "http://127.0.0.1:${http[$1]}/metrics" | awk -v now="$(date +%s)" '
		$1 ~ /^rswap_start_time_seconds/ {
			printf "%.0f\n", ($NF - now) / 86400; exit }'
}
reserved() { # N: reservations
	[ "$(etcd_do e get --prefix /rswap/1/blue/reserved/ --keys-only | grep -c .)" = "$1" ]
}
uses() { # SERVER: and has a session there
	ask p | awk -v address="$(server "$1")" '
		$1 ~ /^servers\.[0-9]+\.address$/ { here = $2 == address }
		here && $1 ~ /\.state$/ && $2 == "up" { found = 1 }
		END { exit !found }'
}
pool_is() { # PATH VALUE
	[ "$(value p "pool.$1")" = "$2" ]
}
memory() { # NAME
	with_clock "$1" start_server "$1" --memory=32M --slab-size=1M --grace=5 --pool="$pool" --metrics="${http[$1]}"
}
# A lease lasts 9 seconds.
beyond_a_lease() {
	sleep 15
}
nothing_lost() {
	uses a && uses b || fail "a server was dropped: $(ask p | grep ^servers)"
	registered 2 || fail "a server is not registered any more"
	reserved 2 || fail "reservations: $(etcd_do e get --prefix /rswap/1/blue/reserved/)"
	pool_is state current || fail "the pool is $(value p pool.state)"
	[ "$(value p errors)" = 0 ] || fail "requests failed"
}

declare -A http
read -r "http[a]" "http[b]" "http[p]" < <(free_ports 3)
start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
set_clock a 3
set_clock b -400
set_clock p -30
memory a
memory b
expect 20 registered 2
with_clock p start_plugin p pool="$pool" servers-max=2 size=24M replicas=2 pool-reserve=all metrics="${http[p]}" timeout=60 lanes=4
[ "$(days_ahead a) $(days_ahead b) $(days_ahead p)" = "3 -400 -30" ] ||
	fail "clocks: $(days_ahead a) $(days_ahead b) $(days_ahead p)"
expect 20 uses a
expect 20 uses b

say "clocks that are apart"
start_shadow load p --connections=2 --size=24M
beyond_a_lease
nothing_lost
writes=$(value a pool.writes)
[ "$writes" -le 4 ] || fail "a wrote its key $writes times"

say "a clock that is set while it runs, on and back"
set_clock p 365
set_clock a -365
beyond_a_lease
nothing_lost
set_clock p -365
set_clock a 365
beyond_a_lease
nothing_lost
expect_more 10 p writes 500
"$ctl" status "$dir/p.ctl" >"$dir/said" || true
expect_line "$dir/said" "pool  " "blue, current for" "2 servers, 2 serving"
grep -q " days\| d " "$dir/said" && fail "an age by the wall clock: $(cat "$dir/said")"
finish_shadow load

say "a loss is known as soon as with right clocks"
stop a KILL || true
expect 20 registered 1
memory a
expect 40 registered 2
expect 40 uses a

say "all end in time"
set_clock p -4000
set_clock b -4000
stop p
expect 20 reserved 0
stop a
stop b
expect 20 registered 0
stop e || true
