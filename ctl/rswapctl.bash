# Completion of rswapctl's command line in bash.  Commands, options and their values
# are those that rswapctl's own --help has, keys those of rswap-nbd's, and names those of
# the run directory, so nothing here has to follow when they change.
# shellcheck shell=bash

# Each command of "rswapctl --help": "  attach     swap to ...".
_rswapctl_commands() { # RSWAPCTL
	"$1" --help 2>/dev/null | sed -nE 's/^  ([a-z]+) +.*/\1/p'
}

# Each option of a command's --help, "--size=SIZE" or "--force".
_rswapctl_options() { # HELP
	sed -nE 's/^ +(--[a-z][^ ]*).*/\1/p' <<<"$1"
}

# What is attached: directories, and .looks and locks of rswapctl's own are no names.
# Neither is one with other letters, which compgen -W would run as a command.
_rswapctl_names() {
	local path

	for path in "${RSWAP_RUN_DIR:-/run/rswap}"/*/; do
		[[ -d $path ]] || continue
		path=${path%/}
		[[ ${path##*/} == *[!A-Za-z0-9._-]* ]] || echo "${path##*/}"
	done
}

# Each key of a front end, "transport=auto|rdma|tcp".
_rswapctl_keys() {
	rswap-nbd --help 2>/dev/null | sed -nE '/^control=/d; s/^([a-z-]+=[^ ]*).*/\1/p'
}

# The values that METAVAR, as "auto|rdma|tcp", says that an option has.  Words in
# capitals stand for what cannot be listed.
_rswapctl_values() { # METAVAR
	local word

	for word in ${1//|/ }; do
		# "/dev/nbdN"
		if [[ $word == /*N ]]; then
			compgen -G "${word%N}*" | grep -x "${word%N}[0-9]*"
		elif [[ $word != *[A-Z]* ]]; then
			echo "$word"
		fi
	done
}

_rswapctl() {
	local rswapctl=$1 command=${COMP_WORDS[1]} cur=${COMP_WORDS[COMP_CWORD]}
	local option='' before='' words='' help option_words keys=''

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		words="$(_rswapctl_commands "$rswapctl") --help --version"
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
	fi
	# "--front=nb" is three words where COMP_WORDBREAKS has "=", as usual.
	if [[ $cur == = ]]; then
		option=${COMP_WORDS[COMP_CWORD - 1]} cur=
	elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
		option=${COMP_WORDS[COMP_CWORD - 2]}
	elif [[ $cur == *=* ]]; then
		option=${cur%%=*} before=$option= cur=${cur#*=}
	fi
	help=$("$rswapctl" "$command" --help 2>/dev/null)
	option_words=$(_rswapctl_options "$help")
	# "Usage: rswapctl try SERVER... [KEY=VALUE]..."
	if [[ ${help%%$'\n'*} == *'[KEY=VALUE]'* ]]; then
		keys=$(_rswapctl_keys)
		option_words+=$'\n'$keys
	fi
	if [[ $option ]]; then
		words=$(sed -n "s|^$option=||p" <<<"$option_words")
		case $words in
		FILE | PATH | SOCKET)
			# by no other compgen: -W would run a command in a name
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -P "$before" -f -- "$cur")
			;;
		*)
			mapfile -t COMPREPLY < <(
				compgen -P "$before" \
					-W "$(_rswapctl_values "$words")" -- "$cur"
			)
			;;
		esac
		return
	fi
	if [[ $cur == -* ]]; then
		# without the metavar: "--size="
		words=$(sed 's/=.*/=/' <<<"$option_words")
		[[ $words != *=* ]] || compopt -o nospace 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		# a space after a flag, since there is none by itself
		[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} == *= ]] ||
			compopt +o nospace 2>/dev/null
		return
	fi
	# "Usage: rswapctl status [NAME|SOCKET]...", "NAME|SERVER...": it takes what is
	# attached
	if [[ ${help%%$'\n'*} == *[[\ ]NAME[]\|]* ]]; then
		words=$(_rswapctl_names)
	fi
	# "Usage: rswapctl pool [OPTION...] status URL | drain URL SERVER", in one
	# line or more
	if ((COMP_CWORD == 2)); then
		words+=" $(grep -oE '(^|\]|\|) +[a-z]+ URL' <<<"$help" | sed -E 's/.* ([a-z]+) URL/\1/')"
	fi
	if [[ $keys ]]; then
		words+=" $(sed 's/=.*/=/' <<<"$keys")"
		compopt -o nospace 2>/dev/null
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _rswapctl rswapctl
