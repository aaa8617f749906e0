#!/bin/bash
# Everything that the plugin and the memory server say goes through common/log.h,
# where nobody waits for a reader and every line has a limit of its rate.  Others
# are allowed in what runs before a program serves, and in the sinks.
. "$(dirname "$0")/functions.sh"

allowed='^plugin/nbdkit.c:.*(nbdkit_(error|debug)\("%s"|fprintf\(stderr, "%snbdkit: rswap|journal_has\(STDERR_FILENO\))'
allowed+='|^common/cmdline.c:.*fprintf\(stderr, "%s: %s'
allowed+='|^plugin/service/program.c:.*(fprintf\(stderr, "%s%s: %s|journal_has\(STDERR_FILENO\))'
allowed+='|^memserver/output/output.c:.*(fprintf\(stderr, "%s%s|sd_notify\(0, line\)|journal_has\(STDERR_FILENO\))'
allowed+='|^memserver/main.c:.*fprintf\(stderr, PROGRAM'
allowed+='|^common/logsink.c:.*fprintf\(stderr, "rswap: '

cd "$src"
grep -nE '\b(stderr|STDERR_FILENO|nbdkit_error|nbdkit_debug|nbdkit_verror|syslog|perror|sd_notifyf?|sd_journal_[a-z]*|warnx?|psignal) *[,()]' \
	-r --include='*.c' plugin memserver common pool | sed -E 's/:[0-9]+:/: /' |
	grep -vE "$allowed" | grep -v '^[^ ]*: *\(/\*\| \*\)' | grep -v '^common/logqueue.c:' >"$dir/others" || true
[ ! -s "$dir/others" ] || fail "not through common/log.h: $(cat "$dir/others")"
