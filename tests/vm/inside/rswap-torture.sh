#!/bin/bash
# The torture tool (tests/torture) where the kernel can lose and delay packets
# (netem) and has the ublk driver: the machine itself may have neither.
#
#	rswap-torture.sh [OPTION...]: of tests/torture/run
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"

load_modules veth bridge sch_netem
[ "${RSWAP_FRONT:-}" != ublk ] || load_modules ublk_drv
said=/run/torture.said
RSWAP_BUILD=$RSWAP_BUILD "$RSWAP_SRC/tests/torture/run" --servers=3 \
	--config="replicas=2" --sequence --hold=4 \
	--server-options=--grace=20 "$@" 2>&1 | tee $said
grep -q ", netem\$" $said || die "it ran without netem"
kernel_log_clean
