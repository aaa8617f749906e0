#!/bin/bash
# A suite of bench/run as short as can be: are its results whole?  Nothing is
# said of its figures.
#
#	smoke.sh SUITE [OPTIONS...]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

out=$(mktemp -d "${TMPDIR:-/tmp}/rswap-bench.XXXXXX")
trap 'rm -rf "$out"' EXIT
"$here/../../bench/run" "$@" --smoke --out="$out"
/usr/bin/python3 "$here/check_results.py" "$out" "$1"
