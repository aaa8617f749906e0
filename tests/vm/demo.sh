#!/bin/bash
# ./demo as README has it, over RDMA and over TCP.  With --vm, so that this machine's
# own swap is left alone, whatever its kernel can.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
said=$(mktemp)
trap 'rm -f "$said"' EXIT

die()
{
	echo "demo.sh: FAILED: $*" >&2
	exit 1
}
. tests/doc-commands.bash

demo=$(doc_commands README.md "See it work" | sed -n 's/^\(\.\/demo\) .*--tcp: the same over TCP$/\1/p')
[ "$demo" = ./demo ] || die "README does not say how to see it work"
for transport in rdma tcp; do
	option=$([ $transport = rdma ] || echo --tcp)
	# shellcheck disable=SC2086 # no option is no word
	$demo --vm $option </dev/null 2>&1 | tee "$said"
	grep -qE '^pages checked +[1-9][0-9]*, 0 wrong' "$said" || die "no pages are checked"
	grep -qE "^moved over +$transport" "$said" || die "it is not over $transport"
	grep -q "^== .* detaching" "$said" || die "it does not detach"
done
