#!/bin/bash
# bench/run rejects its own results where the data was wrong or requests failed:
# exit status 1, one line that says so, no results, and none of an earlier run.
# In the place of rswap are nbdkits that forget every write, and that fail some.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail()
{
	echo "rejects: FAILED: $*" >&2
	cat "$dir/out" >&2
	exit 1
}

# impostor ARGUMENTS...: an nbdkit that runs these instead of rswap's plugin,
# on the Unix socket that it is given.
impostor()
{
	cat >"$dir/nbdkit" <<-END
		#!/bin/bash
		while [ "\$1" != -U ]; do shift; done
		exec nbdkit -f -U "\$2" $*
	END
	chmod +x "$dir/nbdkit"
}

# expect_rejection WORDS
expect_rejection()
{
	local status=0
	echo '{}' >"$dir/results.json"
	RSWAP_BENCH_NBDKIT="$dir/nbdkit" "$here/../../bench/run" host --smoke \
		--systems=rswap-tcp --out="$dir" >"$dir/out" 2>&1 || status=$?
	[ $status = 1 ] || fail "exit status $status"
	[ "$(grep -c '^bench/run:' "$dir/out")" = 1 ] || fail "not one line"
	grep "^bench/run: results rejected: rswap-tcp: .*$1" "$dir/out" ||
		fail "no word of: $1"
	[ ! -e "$dir/results.json" ] || fail "there are results"
}

dir=$(mktemp -d "${TMPDIR:-/tmp}/rswap-bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT
impostor null 256M
expect_rejection verification
impostor --filter=error memory 256M error-pread-rate=10%
expect_rejection verification
