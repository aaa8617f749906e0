#!/bin/bash
# Other swap with the same priority: the kernel uses both in turn, and attach,
# status and doctor say so; with another priority nobody says anything.
. "$(dirname "$0")/harness.sh"

zram() { # PRIORITY
	swap_lines <<-END
	/dev/zram0                              partition	102400		0		$1
	END
}

start_server a --memory=64M --slab-size=1M

say "zram-generator's priority is not the default"
zram 100
attach one || fail "attach: $(cat "$dir/one.log")"
! has "$dir/one.log" "-priority]" || fail "it warns: $(cat "$dir/one.log")"
"$ctl" status >"$dir/said"
expect_line "$dir/said" kernel "swap on /dev/nbd0" "priority 110"
"$ctl" doctor >"$dir/said" || true
! has "$dir/said" "-priority]" || fail "it warns: $(cat "$dir/said")"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"

say "the same priority"
attach one --priority=100 || fail "attach: $(cat "$dir/one.log")"
expect_line "$dir/one.log" "warning: /dev/zram0 has priority 100, as /dev/nbd0" \
	"in turn" "[equal-priority]" "rswapctl detach" "--priority=101"
"$ctl" doctor >"$dir/said" || true
expect_line "$dir/said" warn "/dev/zram0 has priority 100" \
	"as /dev/nbd0" "[equal-priority]" "--priority"
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"

say "doctor tells what attach would give"
zram 110
"$ctl" doctor >"$dir/said" || true
expect_line "$dir/said" warn "/dev/zram0 has priority 110" \
	"as rswapctl attach gives" "[equal-priority]"
swap_lines </dev/null
expect_nothing_left "the end"
