#!/bin/bash
# Wrong options of rswapctl: exit status 1, and one line that names the option
# and the value, before anything is started.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
build=${RSWAP_BUILD:-$src/build}
ctl=$build/ctl/rswapctl
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export RSWAP_RUN_DIR=$dir/run
failed=0

complain() {
	echo "$*"
	failed=1
}

# Each WORD has to be in the line.
refused() { # "WORD..." ARGUMENT...
	local words=$1 status=0 word
	shift
	"$ctl" "$@" >"$dir/out" 2>"$dir/err" || status=$?
	[ "$status" = 1 ] || complain "rswapctl $*: exit status $status"
	[ "$(wc -l <"$dir/err")" = 1 ] ||
		complain "rswapctl $*: not one line: $(cat "$dir/err")"
	[ -s "$dir/out" ] && complain "rswapctl $*: it started something"
	for word in $words; do
		grep -qF -e "$word" "$dir/err" ||
			complain "rswapctl $*: no \"$word\" in:" \
				"$(cat "$dir/err")"
	done
	[ -e "$RSWAP_RUN_DIR" ] && complain "rswapctl $*: left something"
	return 0
}

refused "command attach check"
refused "frobnicate attach" frobnicate
refused "--frob" --frob

refused "SERVER HOST[:PORT]" attach --size=1G
refused "--size missing" attach host
refused "--size value missing" attach host --size
refused "--size=abc 1M 64T" attach host --size=abc
refused "--size=0 1M" attach host --size=0
refused "--size=-1 1M" attach host --size=-1
refused "--size=65T 64T" attach host --size=65T
refused "--size= 1M" attach host --size=
refused "--size=1048577 4096" attach host --size=1048577
refused "--device=/dev/sda /dev/nbd0" attach host --size=1G --device=/dev/sda
refused "--device=/dev/nbd0p1" attach host --size=1G --device=/dev/nbd0p1
refused "--device= empty" attach host --size=1G --device=
refused "--transport=udp auto|rdma|tcp" attach host --size=1G --transport=udp
refused "--transport= auto|rdma|tcp" attach host --size=1G --transport=
refused "--lanes=0 256" attach host --size=1G --lanes=0
refused "--lanes=257 256" attach host --size=1G --lanes=257
refused "--lanes=4x 256" attach host --size=1G --lanes=4x
refused "--timeout=601 600" attach host --size=1G --timeout=601
refused "--connections=17 16" attach host --size=1G --connections=17
refused "--replicas=5 1 to 4" attach host --size=1G --replicas=5
refused "--checksum=maybe on|off" attach host --size=1G --checksum=maybe
refused "--encrypt=aes on|off" attach host --size=1G --encrypt=aes
refused "--fallback=spill absolute" attach host --size=1G --fallback=spill
refused "--fallback-size=1 1M" attach host --size=1G --fallback-size=1
refused "--repair-rate=1K 1M" attach host --size=1G --repair-rate=1K
refused "--priority=32768 32767" attach host --size=1G --priority=32768
refused "--name=a/b letters" attach host --size=1G --name=a/b
refused "--name=.. letters" attach host --size=1G --name=..
refused "--name=-x letters dash" attach host --size=1G --name=-x
refused "--plugin=/no/such no such file" attach host --size=1G \
	--plugin=/no/such
refused "--front=tape auto|ublk|nbd|nbdkit" attach host --size=1G --front=tape
refused "--tune=maybe yes|no" attach host --size=1G --tune=maybe
refused "--plugin=rswap --front=nbdkit" attach host --size=1G --front=nbd \
	--plugin=rswap
refused "--front=tape auto|ublk|nbd|nbdkit" doctor --front=tape
refused "--strict=1 without" attach host --size=1G --strict=1
refused "--frob --size --foreground --help" attach host --size=1G --frob
refused "--siz" attach host --siz=1G
refused "-s" attach host -s 1G
refused "host:99999" attach host:99999 --size=1G
refused "host:0 65535" attach host:0 --size=1G
refused ":10909" attach :10909 --size=1G

refused "--timeout=0 86400" detach --timeout=0
refused "--if-attached=1 without" detach --if-attached=1
refused "--if-dead=1 without" detach --if-dead=1
refused "--force=x without" detach --force=x
refused "--all nbd0" detach nbd0 --all
refused "nbd1" detach nbd0 nbd1
refused "--frob --force --help" detach --frob

refused "--server value" status --server
refused "--json=1 without" status --json=1
refused "--raw --json --help" status --raw
refused "--json=1 without" events --json=1
refused "a..:b" status a..:b

refused "--control= empty" drain --control=
refused "--control value" drain --control
refused "--undo=1 without" drain --undo=1
refused "word options" drain word
refused "--control=$dir/none No such file" drain --control="$dir/none"

refused "--frob --help" check --frob
refused "a..:b NAME SOCKET" check a..:b

refused "--seconds=3 4 to 3600" bench host --seconds=3
refused "--size=1K 1M to 64G" bench host --size=1K
refused "NAME SERVER" bench
refused "KEY=VALUE=1 keys transport" bench host KEY=VALUE=1
refused "SERVER missing" try
refused "lanes=x 1 to 256" try host lanes=x
refused "host:99999" try host:99999
refused "SERVER missing" ping
refused "host:0 65535" ping host:0
refused "--count=0 1 to 1000000" ping host --count=0

refused "--role=client server|compute|both" doctor --role=client
refused "--plugin= empty" doctor --plugin=
refused "--frob --role --plugin --help" doctor --frob

# nothing to do is no error where that is asked for
if [ "$(id -u)" = 0 ]; then
	refused "nothing attached" detach
	refused "none attached" detach none
	for words in "" none; do
		# shellcheck disable=SC2086
		[ -z "$("$ctl" detach --if-attached $words 2>&1)" ] ||
			complain "detach --if-attached $words: not silent"
		# shellcheck disable=SC2086
		[ -z "$("$ctl" detach --if-dead $words 2>&1)" ] ||
			complain "detach --if-dead $words: not silent"
	done
fi

exit "$failed"
