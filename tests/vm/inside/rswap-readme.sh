#!/bin/bash
# README's "Two machines in five minutes": each command runs as it stands there, with
# the kernel's swap and a real systemd, also those by hand with nbd-client.  A
# Prometheus scrapes what the units start, with the lines of docs/monitoring.md.
#
#	tests/vm/guest --systemd -- tests/vm/inside/rswap-readme.sh
#	tests/vm/guest --image=FILE -- tests/vm/inside/rswap-readme.sh packages
#
# On a machine of its own the packages come by apt, from /var/cache/packages
# (tests/packages); else cmake installs.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/systemd-lib.sh"
. "$here/../../doc-commands.bash"
. "$here/follow-lib.sh"

readme=$RSWAP_SRC/README.md
monitoring=$RSWAP_SRC/docs/monitoring.md
left_out=(
	# tests/packages runs these before.
	"apt install cmake gcc libc6-dev *"
	"cmake -B build -DCMAKE_INSTALL_PREFIX=/usr -DBUILD_TESTING=OFF"
	"cmake --build build && cmake --install build"
	"apt install build-essential debhelper dpkg-dev"
	"cd build && cpack"
)

install()
{
	if [ "${1-}" = packages ]; then
		cd /var/cache/packages
		# apt would ask.
		echo 'APT::Get::Assume-Yes "true";' >/etc/apt/apt.conf.d/90assume-yes
		export DEBIAN_FRONTEND=noninteractive
	else
		install_units
		left_out+=("apt install ./rswap-nbd_\*.deb ./rswap-tools_\*.deb"
			"apt install ./rswap-memserver_\*.deb ./rswap-tools_\*.deb")
	fi
}

# --- what stands in the text ---

# The memory server as a service, with the metrics of which the text tells below.
start_service()
{
	local options metrics
	end_trial
	options=$(doc_phrase "$readme" 'OPTIONS="--memory=')
	metrics=$(doc_phrase "$readme" --metrics=10919)
	echo "${options%\"} $metrics\"" >/etc/default/rswap-memserver
	run_command "systemctl daemon-reload"
	run_command "$(doc_phrase "$readme" "systemctl enable --now rswap-memserver")"
}

# far.conf is README's; the same for the front end.
add_metrics()
{
	grep -qx 'OPTIONS="--psk-file=/etc/rswap/node.keys"' /etc/rswap/far.conf ||
		die "far.conf: $(</etc/rswap/far.conf)"
	sed -i "/^OPTIONS=/s|\"\$| $(doc_phrase "$readme" --metrics=10920)\"|" \
		/etc/rswap/far.conf
}

# Back, in the order of the text.
go_back()
{
	run_command "$(doc_phrase "$readme" "swapoff /dev")"
	run_command "$(doc_phrase "$readme" "nbd-client -d")"
	kill "$by_hand_pid"
	wait "$by_hand_pid" || die "rswap-nbd ended with status $?"
}

# --- Prometheus ---

# http PORT PATH: the answer
http()
(
	exec 5<>"/dev/tcp/127.0.0.1/$1"
	printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&5
	cat <&5
)

# The names of docs/monitoring.md are this machine's, too.
start_prometheus()
{
	echo "127.0.0.1 node-7 store-1" >>/etc/hosts
	{
		echo "global: {scrape_interval: 5s, evaluation_interval: 5s}"
		doc_commands "$monitoring" Prometheus
		doc_commands "$monitoring" Alerts
	} >/run/prometheus.yml
	prometheus --config.file=/run/prometheus.yml \
		--storage.tsdb.path=/run/tsdb \
		--web.listen-address=127.0.0.1:9090 >/run/prometheus.log 2>&1 &
	prometheus_pid=$!
}

# answers QUERY PATTERN: Prometheus does
answers()
{
	local query answer
	query=$(sed 's/{/%7B/g; s/}/%7D/g; s/"/%22/g; s/=/%3D/g; s/>/%3E/g; s/ /%20/g' \
		<<<"$1")
	answer=$(http 9090 "/api/v1/query?query=$query" 2>/dev/null) &&
		grep -qE -e "$2" <<<"$answer"
}

# What it has scraped: both sides are up, and the pages that went out and came back.
is_scraped()
{
	local query rules
	start_prometheus
	await 300 answers 'count(up{job="rswap"} == 1)' '"value":\[[^]]*,"2"\]' ||
		die "not both are up: $(tail -n 5 /run/prometheus.log)"
	for query in 'rswap_build_info{role="memserver"}' \
		'rswap_requests_total{op="write"} > 0' \
		'rswap_request_bytes_total{op="read"} > 0' \
		'rswap_memserver_request_bytes_total{op="write"} > 0' \
		'rswap_server_state{state="up"} == 1'; do
		await 60 answers "$query" '"value":' || die "no answer: $query"
	done
	rules=$(http 9090 /api/v1/rules)
	grep -q '"RswapPagesLost"' <<<"$rules" || die "it has no alerts: $rules"
	! answers 'ALERTS{severity="critical"}' '"value":' || die "a critical alert"
	kill "$prometheus_pid"
	wait "$prometheus_pid" || die "Prometheus: $(tail -n 5 /run/prometheus.log)"
}

# The page in a browser.
has_page()
{
	local url page
	url=$(doc_phrase "$readme" http://127.0.0.1)
	url=${url#http://127.0.0.1:}
	page=$(http "${url%%/*}" "/${url#*/}")
	grep -qi "<html" <<<"$page" || die "no page: $page"
}

# --- the commands of README, and what is between them ---

run_command()
{
	case $1 in
	"printf 'SERVERS="*) start_service ;;
	"modprobe nbd"*)
		systemctl disable --now rswap@far
		! swap_is_on || die "swap is on: $(</proc/swaps)"
		;;
	esac
	follow_command "$1"
	case $1 in
	"apt install"*) cp $said "/run/guest/apt-$ran.log" ;;
	"printf 'SERVERS="*) add_metrics ;;
	*"enable --now rswap@far"*)
		has_page
		is_scraped
		;;
	sysctl*)
		[ "$(</proc/sys/vm/min_free_kbytes)" = 65536 ] || die "$1"
		;;
	"mkswap /dev/nbd0"*)
		awk '$1 == "/dev/nbd0" && $5 == 110 { found = 1 } END { exit !found }' \
			/proc/swaps || die "/proc/swaps: $(</proc/swaps)"
		swap
		;;
	esac
}

install "$@"
be_both_machines
ip address add 10.0.0.1/32 dev lo
ip address add 10.0.0.2/32 dev lo
run_commands "$readme" "Two machines in five minutes"
go_back
all_left_out_seen
[ "$ran" -ge 18 ] || die "only $ran commands: README is not understood"
systemctl disable --now rswap-memserver
kernel_log_clean
say "done: $ran commands of README"
