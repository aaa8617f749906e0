#!/bin/bash
# run, with the configurations that there are:
#
#   suite.sh none|replicas|redundancy|fallback   each fault alone, one of each
#   suite.sh mix                                 60 seconds of all, replicas=2
#   suite.sh long [SECONDS]                      the same, 600 seconds
#   suite.sh pool                                each fault of etcd alone, without
#                                                copies: no request may fail
#   suite.sh pool-each                           each fault alone, also of servers, in a
#                                                pool, replicas=2
#   suite.sh pool-mix                            mix in a pool, with its faults too
#   suite.sh beside-NAME                         and on the same servers another
#                                                device with encrypt=off
#   suite.sh NAME-plain                          with encrypt=off
#   suite.sh NAME-unchecked                      with checksum=off too
#
# Unchecked, nothing reads a page again that came back wrong.  More options for
# run may follow.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# A server that has lost its connections waits as long for its client.
grace=--grace=20

each=(--sequence --hold=2 --pause=1)
name=${1:?none, replicas, redundancy, fallback, mix, long, pool, pool-each or pool-mix}
shift
keys=
case $name in
*-plain) keys=" encrypt=off" ;;
*-unchecked) keys=" encrypt=off checksum=off" ;;
esac
beside=${name%%-*}
suite=${name#beside-}
suite=${suite%-plain}
case ${suite%-unchecked} in
none)
	options=("${each[@]}" --servers=3 --config="${keys# }")
	;;
replicas)
	options=("${each[@]}" --servers=3 --config="replicas=2$keys")
	;;
redundancy)
	# one more than it needs: what a server gives back goes there
	options=("${each[@]}" --servers=7 --config="redundancy=4+2$keys")
	;;
fallback)
	# two servers for two copies: with one away, it is the fallback's turn
	options=("${each[@]}" --servers=2
		--config="replicas=2 fallback=@DIR@/fallback$keys")
	;;
mix)
	options=(--seconds=60 --servers=3 --config="replicas=2$keys")
	;;
pool)
	options=("${each[@]}" --pool --servers=3 --expect=never-eio
		--config="pool-reserve=all"
		--faults=lease,etcd_leader,etcd_stuck,etcd_minority,etcd_majority,etcd_slow,etcd_hang,etcd_gone,etcd_compact,etcd_empty)
	;;
pool-each)
	options=("${each[@]}" --pool --servers=4
		--config="replicas=2 pool-reserve=all")
	;;
pool-mix)
	options=(--seconds=90 --pool --servers=4
		--config="replicas=2 pool-reserve=all")
	;;
long)
	seconds=600
	[[ ! ${1:-} =~ ^[0-9]+$ ]] || { seconds=$1; shift; }
	options=(--seconds="$seconds" --servers=4
		--config="replicas=2$keys"
		--hold=8 --pause=5)
	;;
*)
	echo "suite.sh: $name: no such suite" >&2
	exit 2
	;;
esac
if [ "$beside" = beside ]; then
	for option in "${options[@]}"; do
		[[ $option = --config=* ]] || continue
		keys=${option#--config=}
		options+=("--beside=${keys//@DIR@\/fallback/@DIR@\/fallback-beside} encrypt=off")
	done
fi
exec "$here/run" "${options[@]}" --server-options="$grace" "$@"
