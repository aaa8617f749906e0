#!/bin/sh
# Lets a machine with Debian swap to memory servers of rswap: packages, key, settings,
# unit.  A second run changes nothing (docs/kubernetes.md, Without Kubernetes).
set -eu

program='compute-node.sh'

usage()
{
	cat <<-END
	usage: compute-node.sh --name=NAME --servers=SERVERS --size=SIZE --keys=FILE [OPTION...] [FILE.deb...]
	       compute-node.sh --name=NAME --pool=URL --size=SIZE --keys=FILE [OPTION...] [FILE.deb...]

	  --name=NAME          of the device: /etc/rswap/NAME.conf and rswap@NAME
	  --servers=SERVERS    one or more HOST or HOST:PORT, with spaces between
	  --size=SIZE          of the device, as "64G" or "ram / 2"
	  --keys=FILE          this machine's key; becomes /etc/rswap/NAME.keys
	  --front=FRONT        nbd (the default) or ublk
	  --pool=URL           etcd://HOST[:PORT][,HOST[:PORT]].../NAME: memory servers
	                       of the pool NAME, with --servers or without
	  --pool-ca=FILE, --pool-cert=FILE, --pool-key=FILE, --pool-login=FILE
	                       for etcd, as in rswapctl(8)
	  --options=OPTIONS    more options of attach in rswapctl(8)
	  --repository=LINE    a line of sources.list(5), which has the packages

	FILE.deb: rswap-nbd or rswap-ublk, and rswap-tools, where there is no repository.
	END
}

# --- the same in both scripts, each of which is to be one file ---

changes=0
DESTDIR=${DESTDIR:-} # for a test: where the files go

die()
{
	echo "$program: $*" >&2
	exit 1
}

did()
{
	changes=$((changes + 1))
	echo "$program: $*"
}

# What systemd would not take as it stands between quotes.
plain() # OPTION VALUE
{
	case $2 in
	*[\"\\\`\$]* | *"
"*) die "$1=$2: allowed is text without quotes, \\, \` and \$, in one line" ;;
	esac
}

check_keys() # FILE
{
	[ -r "$1" ] || die "--keys=$1: there is no such file that can be read"
	# The line is not told, as a key may be in it.
	line=$(grep -nvE '^([^[:space:]:#]{1,63}:([0-9a-fA-F]{2}){16,64}|#.*|)$' "$1" |
		sed -n '1s/:.*//p')
	[ -z "$line" ] || die "--keys=$1, line $line: allowed is NAME:HEXKEY, as rswapctl genkey writes it"
	grep -q '^[^#]' "$1" || die "--keys=$1: it has no key"
}

# Standard input becomes the file, unless it is there already as it should be.
put_file() # MODE PATH
{
	path=$DESTDIR$2
	mkdir -p "${path%/*}"
	(umask 077 && cat >"$path.new")
	chmod "$1" "$path.new"
	if [ -f "$path" ] && [ ! -L "$path" ] && cmp -s "$path" "$path.new" &&
		[ "$(stat -c '%a %u' "$path")" = "$(stat -c '%a %u' "$path.new")" ]; then
		rm "$path.new"
		return
	fi
	mv -T "$path.new" "$path"
	did "wrote $2"
}

# The version of a package that is installed, or nothing.
installed() # PACKAGE
{
	dpkg-query --show --showformat='${db:Status-Status} ${Version}\n' "$1" 2>/dev/null |
		sed -n 's/^installed //p'
}

# Packages are those of $packages; of these the given files first.
install_packages() # [FILE.deb...]
{
	if [ "$repository" ]; then
		put_file 0644 /etc/apt/sources.list.d/rswap.list <<-END
		$repository
		END
	fi
	count=$#
	given=' '
	while [ "$count" -gt 0 ]; do
		file=$1
		shift
		count=$((count - 1))
		package=$(dpkg-deb --field "$file" Package 2>/dev/null) ||
			die "$file: it is no Debian package"
		given="$given$package "
		[ "$(installed "$package")" = "$(dpkg-deb --field "$file" Version)" ] && continue
		case $file in
		*/*) set -- "$@" "$file" ;;
		*) set -- "$@" "./$file" ;; # else apt-get takes it for a package's name
		esac
	done
	for package in $packages; do
		case $given in
		*" $package "*) continue ;;
		esac
		[ "$(installed "$package")" ] || set -- "$@" "$package"
	done
	[ $# -gt 0 ] || return 0
	apt-get update -qq || die "apt-get update fails"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		--allow-downgrades "$@" >/dev/null || die "apt-get install fails: $*"
	did "installed $*"
}

# A unit that runs goes on with what it had: a restart moves pages.
start_unit() # UNIT WHAT-A-RESTART-DOES
{
	[ "$changes" = 0 ] || systemctl daemon-reload
	case $(systemctl is-active "$1" || true) in
	active | activating | reloading)
		[ "$changes" = 0 ] || echo "$program: $1 goes on as it was started; $2"
		started=
		;;
	*) started=1 ;;
	esac
	if ! systemctl is-enabled --quiet "$1" 2>/dev/null; then
		systemctl enable --quiet "$1" || die "systemctl enable $1 fails"
		did "enabled $1"
	fi
	[ "$started" ] || return 0
	systemctl start "$1" || die "$1 does not start yet: systemctl status $1"
	did "started $1"
}

check_pool()
{
	if [ -z "$pool" ]; then
		[ -z "$pool_ca$pool_cert$pool_key$pool_login" ] ||
			die "--pool-ca, --pool-cert, --pool-key and --pool-login: allowed with --pool"
		return 0
	fi
	echo "$pool" | grep -Eqx 'etcd://[][A-Za-z0-9.:_,-]+/[a-z0-9_-]{1,63}' ||
		die "--pool=$pool: allowed is etcd://HOST[:PORT][,HOST[:PORT]].../NAME"
	for file in "$pool_ca" "$pool_cert" "$pool_key" "$pool_login"; do
		[ -z "$file" ] || [ -r "$file" ] || die "$file: there is no such file that can be read"
	done
	# The line is not told, as a password is in it.
	[ -z "$pool_login" ] || grep -Eqx '[^:]+:.+' "$pool_login" ||
		die "--pool-login=$pool_login: allowed is a line USER:PASSWORD"
}

# Files for etcd become those that begin with $1, for a program that finds them by $2.
# Its options are in $pool_options then.
put_pool() # PATH... PATH...
{
	pool_options=
	[ "$pool" ] || return 0
	pool_options=" --pool=$pool"
	for what in ca cert key login; do
		case $what in
		ca) file=$pool_ca ;;
		cert) file=$pool_cert ;;
		key) file=$pool_key ;;
		login) file=$pool_login ;;
		esac
		[ "$file" ] || continue
		put_file 0600 "$1$what" <"$file"
		pool_options="$pool_options --pool-$what=$2$what"
	done
}

need_root()
{
	[ "$DESTDIR" ] || [ "$(id -u)" = 0 ] || die "it needs root"
}

umask 022
# --- so far ---

name='' servers='' size='' keys='' front=nbd options='' repository=''
pool='' pool_ca='' pool_cert='' pool_key='' pool_login=''
while [ $# -gt 0 ]; do
	case $1 in
	--name=*) name=${1#*=} ;;
	--servers=*) servers=${1#*=} ;;
	--size=*) size=${1#*=} ;;
	--keys=*) keys=${1#*=} ;;
	--front=*) front=${1#*=} ;;
	--pool=*) pool=${1#*=} ;;
	--pool-ca=*) pool_ca=${1#*=} ;;
	--pool-cert=*) pool_cert=${1#*=} ;;
	--pool-key=*) pool_key=${1#*=} ;;
	--pool-login=*) pool_login=${1#*=} ;;
	--options=*) options=${1#*=} ;;
	--repository=*) repository=${1#*=} ;;
	--help)
		usage
		exit 0
		;;
	-*) die "$1: there is no such option (see --help)" ;;
	*) break ;;
	esac
	shift
done
need_root
echo "$name" | grep -Eqx '[A-Za-z0-9_][A-Za-z0-9._-]{0,31}' ||
	die "--name=$name: allowed are 1 to 32 letters, digits and . _ -, no dot or dash in front"
case " $options" in
*" --pool="*) ;;
*) [ "$servers$pool" ] || die "--servers=: allowed is HOST or HOST:PORT, or none with --pool" ;;
esac
echo "$servers" | grep -Eqx '[][A-Za-z0-9.:_ -]*' ||
	die "--servers=$servers: allowed are HOST and HOST:PORT, with spaces between"
[ "$size" ] || die "--size=: allowed is a size, as 64G, or an expression, as ram / 2"
plain --size "$size"
plain --options "$options"
plain --repository "$repository"
case $front in
nbd | ublk) ;;
*) die "--front=$front: allowed is nbd or ublk" ;;
esac
case " $options" in
*" --psk-file="* | *" --size="* | *" --name="* | *" --front="*)
	die "--options=$options: allowed are options other than --psk-file, --size, --name and --front" ;;
esac
check_keys "$keys"
check_pool

packages="rswap-$front rswap-tools ibverbs-providers libcurl3-gnutls"
install_packages "$@"
put_file 0600 "/etc/rswap/$name.keys" <"$keys"
put_pool "/etc/rswap/$name.pool-" "/etc/rswap/$name.pool-"
# With this file the machine swaps also if it starts while etcd is away.
case " $options" in
*" --pool-state="*) ;;
*) pool_options="$pool_options${pool:+ --pool-state=/var/lib/rswap/$name.pool}" ;;
esac
put_file 0644 "/etc/rswap/$name.conf" <<END
# by compute-node.sh
SERVERS="$servers"
SIZE="$size"
FRONT=$front
OPTIONS="--psk-file=/etc/rswap/$name.keys$pool_options${options:+ $options}"
END
start_unit "rswap@$name.service" \
	"systemctl restart detaches the device and attaches it again"
if [ "$started" ] && systemctl is-active --quiet kubelet.service; then
	echo "$program: kubelet has started before this swap: systemctl restart kubelet"
fi
[ "$changes" -gt 0 ] || echo "$program: nothing to do"
