# shellcheck shell=bash
# The commands of README and of docs, for scripts that run them as they stand there.
# Source it where there is a function die.

# doc_commands FILE HEADING: of a section, each in one line.  A command is indented
# by four blanks, and goes on after a backslash at its end.
doc_commands()
{
	awk -v heading="$2" '
		/^## / { inside = ($0 == "## " heading) }
		inside && /^    / {
			sub(/^    /, "")
			line = line $0
			if (sub(/\\$/, "", line)) next
			print line
			line = ""
		}' "$1"
}

# doc_phrase FILE BEGINNING: what the text has between backticks, the first that
# begins so
doc_phrase()
{
	local phrase
	phrase=$(tr '\n' ' ' <"$1" | grep -oF -e "\`$2" | sed -n 1p) ||
		die "$1 has no \`$2"
	phrase=$(tr '\n' ' ' <"$1" | awk -v at="$phrase" '{
		text = substr($0, index($0, at) + 1)
		print substr(text, 1, index(text, "`") - 1)
	}')
	echo "$phrase"
}

# What a script leaves out: patterns of whole commands, without comments.
left_out=()
declare -A seen_left_out

is_left_out()
{
	local pattern command
	command=$(sed 's/  *#.*//' <<<"$1")
	for pattern in "${left_out[@]}"; do
		# shellcheck disable=SC2053
		[[ $command == $pattern ]] || continue
		seen_left_out[$pattern]=yes
		return 0
	done
	return 1
}

# run_commands FILE HEADING: by run_command COMMAND, which the script has, but for
# those that are left out; ran is how many
ran=0
run_commands()
{
	local command
	while IFS= read -r -u 3 command; do
		[[ ! $command =~ ^\ *# ]] || continue
		! is_left_out "$command" || continue
		run_command "$command"
		ran=$((ran + 1))
	done 3< <(doc_commands "$1" "$2")
}

# What is left out is still there, so that the list does not outlive the page.
all_left_out_seen()
{
	local pattern
	for pattern in "${left_out[@]}"; do
		[ "${seen_left_out[$pattern]-}" ] ||
			die "no command is like this any more: $pattern"
	done
}
