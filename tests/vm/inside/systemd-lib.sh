# shellcheck shell=bash disable=SC2154
# Functions for scripts that run in a guest with systemd.  Source it after
# rswap-lib.sh.

# property UNIT NAME
property()
{
	systemctl show --property="$2" --value "$1"
}

# is UNIT PROPERTY VALUE
is()
{
	[ "$(property "$1" "$2")" = "$3" ]
}

# want UNIT PROPERTY=VALUE...
want()
{
	local unit=$1 pair
	shift
	for pair in "$@"; do
		is "$unit" "${pair%%=*}" "${pair#*=}" || {
			systemctl status --no-pager --lines=50 "$unit" >&2 || true
			die "$unit: ${pair%%=*} is" \
				"$(property "$unit" "${pair%%=*}"), not ${pair#*=}"
		}
	done
}

# journal_of UNIT: since the machine has booted
journal_of()
{
	journalctl --no-pager --boot --output=cat --unit="$1"
}

# journal_has UNIT PATTERN
journal_has()
{
	local journal
	journal=$(journal_of "$1")
	grep -q -e "$2" <<<"$journal"
}

swapped_mib()
{
	awk -v d="$block_device" '$1 == d { print int($4 / 1024) }' /proc/swaps
}

swapped_over()
{
	[ "$(swapped_mib)" -gt "$1" ]
}

# install_units [CMAKE-OPTION...]: as an administrator would.
install_units()
{
	cmake --install "$RSWAP_BUILD" --prefix /usr "$@" >/dev/null
	systemctl daemon-reload
}

no_swap()
{
	! grep -q "^$block_device" /proc/swaps
}
