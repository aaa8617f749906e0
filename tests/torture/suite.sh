#!/bin/bash
# run, with the configurations that there are:
#
#   suite.sh none|replicas|redundancy|fallback   each fault alone, one of each
#   suite.sh mix                                 60 seconds of all, replicas=2
#   suite.sh long [SECONDS]                      the same, 600 seconds
#   suite.sh NAME-unchecked                      with checksum=off
#
# Without checksums nothing reads a page again that came back wrong.  More options for run may follow.  Skipped where the plugin has no such key.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
plugin=${RSWAP_BUILD:-$here/../../build}/plugin/nbdkit-rswap-plugin.so

needs_key() {
	nbdkit "$plugin" --dump-plugin | sed -n 's/^rswap_keys=//p' |
		grep -qw "$1" || {
		echo "suite.sh: skipped: the plugin has no key $1"
		exit 77
	}
}

# A server that has lost its connections waits as long for its client.
grace=
"${RSWAP_BUILD:-$here/../../build}/memserver/rswap-memserver" --help |
	grep -q -e --grace && grace=--grace=20

each=(--sequence --hold=2 --pause=1)
name=${1:?none, replicas, redundancy, fallback, mix or long}
shift
unchecked=
[[ $name != *-unchecked ]] || unchecked=" checksum=off"
case ${name%-unchecked} in
none)
	options=("${each[@]}" --servers=3 --config="${unchecked# }")
	;;
replicas)
	needs_key replicas
	options=("${each[@]}" --servers=3 --config="replicas=2$unchecked")
	;;
redundancy)
	needs_key redundancy
	# one more than it needs: what a server gives back goes there
	options=("${each[@]}" --servers=7 --config="redundancy=4+2$unchecked")
	;;
fallback)
	needs_key fallback
	needs_key replicas
	# two servers for two copies: with one away, it is the fallback's turn
	options=("${each[@]}" --servers=2
		--config="replicas=2 fallback=@DIR@/fallback$unchecked")
	;;
mix)
	needs_key replicas
	options=(--seconds=60 --servers=3 --config="replicas=2$unchecked")
	;;
long)
	needs_key replicas
	seconds=600
	[[ ! ${1:-} =~ ^[0-9]+$ ]] || { seconds=$1; shift; }
	options=(--seconds="$seconds" --servers=4
		--config="replicas=2$unchecked"
		--hold=8 --pause=5)
	;;
*)
	echo "suite.sh: $name: no such suite" >&2
	exit 2
	;;
esac
exec "$here/run" "${options[@]}" --server-options="$grace" "$@"
