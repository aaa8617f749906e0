#!/bin/sh
# Makes a machine with Debian a memory server of rswap: packages, keys, options, unit.
# A second run changes nothing (docs/kubernetes.md, Without Kubernetes).
set -eu

program='memory-server.sh'

usage()
{
	cat <<-END
	usage: memory-server.sh --memory=SIZE --listen=ADDRESS --keys=FILE [OPTION...] [FILE.deb...]

	  --memory=SIZE        memory to grant: a number with K, M, G or T
	  --listen=ADDRESS     where to listen: HOST or HOST:PORT
	  --keys=FILE          keys of the clients; becomes /etc/rswap/memserver.keys
	  --pool=URL           etcd://HOST[:PORT][,HOST[:PORT]].../NAME: register in the
	                       pool NAME, where clients find this server
	  --pool-ca=FILE, --pool-cert=FILE, --pool-key=FILE, --pool-login=FILE
	                       for etcd, as in rswap-memserver(8)
	  --options=OPTIONS    more options of rswap-memserver(8)
	  --repository=LINE    a line of sources.list(5), which has the packages

	FILE.deb: rswap-memserver and rswap-tools, where there is no repository.
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

memory='' listen='' keys='' options='' repository='' pool='' pool_ca='' pool_cert='' pool_key='' pool_login=''
while [ $# -gt 0 ]; do
	case $1 in
	--memory=*) memory=${1#*=} ;;
	--listen=*) listen=${1#*=} ;;
	--keys=*) keys=${1#*=} ;;
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
echo "$memory" | grep -Eqx '[1-9][0-9]*[KMGT]?' ||
	die "--memory=$memory: allowed is a number with K, M, G or T, such as 64G"
echo "$listen" | grep -Eqx '[][A-Za-z0-9.:_-]+' ||
	die "--listen=$listen: allowed is HOST or HOST:PORT"
plain --options "$options"
plain --repository "$repository"
case " $options" in
*" --psk-file="* | *" --memory="* | *" --control="*)
	die "--options=$options: allowed are options other than --psk-file, --memory and --control" ;;
esac
check_keys "$keys"
check_pool

packages="rswap-memserver rswap-tools ibverbs-providers libcurl3-gnutls"
install_packages "$@"
before=$changes
reloaded=
put_file 0600 /etc/rswap/memserver.keys <"$keys"
# The server takes other keys without a restart.
if [ "$changes" != "$before" ] && systemctl is-active --quiet rswap-memserver.service; then
	systemctl reload rswap-memserver.service || die "systemctl reload rswap-memserver.service fails"
	echo "$program: rswap-memserver.service has the new keys"
	reloaded=1
	changes=$before
fi
# The unit's user can read none of root's files: systemd hands them over.
put_pool /etc/rswap/memserver.pool- /run/credentials/rswap-memserver.service/pool-
credentials=$(echo "$pool_options" | tr ' ' '\n' |
	sed -n 's,^--pool-\([a-z]*\)=.*,LoadCredential=pool-\1:/etc/rswap/memserver.pool-\1,p')
if [ "$credentials" ]; then
	put_file 0644 /etc/systemd/system/rswap-memserver.service.d/pool.conf <<-END
	# by memory-server.sh
	[Service]
	$credentials
	END
fi
put_file 0644 /etc/default/rswap-memserver <<END
# by memory-server.sh
OPTIONS="--memory=$memory --listen=$listen$pool_options${options:+ $options}"
END
start_unit rswap-memserver.service \
	"systemctl restart asks its clients to move their pages first"
[ "$changes" -gt 0 ] || [ "$reloaded" ] || echo "$program: nothing to do"
