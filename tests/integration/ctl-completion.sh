#!/bin/bash
# The completion in bash offers what rswapctl's --help has, both ways, and the names of
# what is attached.
. "$(dirname "$0")/functions.sh"

ctl=$build/ctl/rswapctl
export RSWAP_RUN_DIR=$dir/run
mkdir -p "$RSWAP_RUN_DIR"/{swap0,swap1,other} "$RSWAP_RUN_DIR/.looks"
touch "$RSWAP_RUN_DIR/.swap0.lock"
PATH=$build/ctl:$build/plugin:$PATH
. "$src/ctl/rswapctl.bash"
compopt() { # which is for a completion that readline asked for
	:
}

# offers WORD...: what is offered where the cursor stands behind these words, as bash
# would split them, one a line and in order
offers() {
	COMP_WORDS=(rswapctl "$@")
	COMP_CWORD=$#
	_rswapctl rswapctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" ||
		true
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

# expect_offer "OFFER..." WORD...: exactly these, in order
expect_offer() {
	local offered
	offered=$(offers "${@:2}" | tr '\n' ' ')
	[ "${offered% }" = "$1" ] ||
		fail "rswapctl ${*:2}: \"$offered\" is offered, not \"$1\""
}

# "  --size=SIZE  ..." or "  attach  ..." of --help, without the metavar
help_words() {
	"$ctl" "$@" --help | sed -nE 's/^ +(--[a-z-]+=?|[a-z]+  ).*/\1/p' |
		tr -d ' ' | sort -u
}

say "commands and options"
for command in $(help_words | grep -v '^-'); do
	commands="${commands:-}$command "
	offers "$command" -- >"$dir/offered"
	diff <(help_words "$command") "$dir/offered" ||
		fail "$command --help (<) and what is offered (>) differ"
done
[ "$(wc -w <<<"$commands")" -ge 8 ] || fail "commands: $commands"
diff <(help_words) <(offers "") ||
	fail "--help (<) and what is offered (>) differ"

say "words that have begun, and values"
expect_offer "detach" det
expect_offer "--version" --v
expect_offer "--plugin= --pool-ca= --pool-cert= --pool-key= --pool-login= --pool-reserve= --pool-state= --pool= --priority= --psk-file=" attach 10.0.0.1 --p
expect_offer "auto nbd nbdkit ublk" attach --front =
expect_offer "nbd nbdkit" attach --front = nb
expect_offer "--front=nbd --front=nbdkit" attach --front=nb # without "=" in COMP_WORDBREAKS
expect_offer "" attach --size =
expect_offer "" attach --lanes = b
touch "$dir/my.keys" "$dir/my.other"
expect_offer "$dir/my.keys" attach --psk-file = "$dir/my.k"
expect_offer "" attach ""

say "what a command is to do"
expect_offer "drain rebalance reserve status" pool ""
expect_offer "drain" pool d
expect_offer "" pool drain ""

say "names that a shell would run"
cd "$dir"
touch 'run.$(touch ran)' 'run.`touch ran`'
mkdir "$RSWAP_RUN_DIR/run.\$(touch ran)" "$RSWAP_RUN_DIR/run.\`touch ran\`"
# shellcheck disable=SC2016
expect_offer 'run.$(touch ran) run.`touch ran`' attach --psk-file = run.
# shellcheck disable=SC2016
expect_offer '--psk-file=run.$(touch ran) --psk-file=run.`touch ran`' attach --psk-file=run.
# shellcheck disable=SC2016
expect_offer 'run.$(touch ran) run.`touch ran`' try host psk-file = run.
expect_offer "" detach run.
[ ! -e ran ] || fail "a command in a file's name was run"
rm run.*
rmdir "$RSWAP_RUN_DIR"/run.*
cd - >/dev/null
expect_offer "" dance --

say "keys of the front end"
for command in try bench; do
	offers "$command" "" | grep = >"$dir/offered"
	diff <(rswap-nbd --help | sed -nE 's/^([a-z-]+=).*/\1/p' | grep -v control= | sort) \
		"$dir/offered" || fail "$command: rswap-nbd's keys (<) and what is offered (>)"
done
expect_offer "repair-after= repair-rate= replicas=" try host rep
expect_offer "auto rdma tcp" try host transport =
expect_offer "transport=rdma" bench host transport=r
expect_offer "$dir/my.keys" try host psk-file = "$dir/my.k"

say "names of what is attached"
for command in detach status events check; do
	expect_offer "other swap0 swap1" "$command" ""
done
expect_offer "swap0 swap1" status other sw
expect_offer "" genkey ""
expect_offer "swap0 swap1" bench sw
expect_offer "" ping ""
RSWAP_RUN_DIR=$dir/none expect_offer "" detach ""

say "in a bash that somebody types into"
requires script --version
cat >"$dir/bashrc" <<EOF
PATH=$build/ctl:\$PATH
PS1='$ '
. "$src/ctl/rswapctl.bash"
bind 'set bell-style none'
EOF
printf 'rswapctl det\tsw\t0 --fo\t>%s 2>&1\nrswapctl status --js\t>%s 2>/dev/null\nexit\n' \
	"$dir/detach" "$dir/status" |
	TERM=dumb timeout 60 script -qec "bash --noprofile --rcfile $dir/bashrc -i" \
		/dev/null >"$dir/typed" || true
expect_line "$dir/typed" "$ rswapctl detach swap0 --force >"
expect_line "$dir/typed" "$ rswapctl status --json >"
expect_line "$dir/detach" "swap0"
expect_line "$dir/status" '"targets"'
