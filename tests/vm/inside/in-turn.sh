#!/bin/bash
# Several of these scripts in one guest, one after the other, until one fails:
# a boot costs more than what some of them do.
#
#	in-turn.sh "SCRIPT [ARGS...]"...
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"

# Each script looks for complaints in the kernel's log; some provoke them.
next_log()
{
	dmesg >>/run/guest/dmesg.log
	dmesg --clear
}

for script in "$@"; do
	say "--- $script"
	# shellcheck disable=SC2086 # its arguments are words
	bash "$here"/$script || die "$script failed with status $?"
	next_log
done
