#!/bin/bash
# A pool, with the units, under a real systemd: an etcd that speaks TLS and wants a
# password; a memory server that is in the pool by the drop-in of docs/pool.md, as a user
# of its own behind its filter of system calls; rswap@ that finds it there, by name, and
# reserves its memory; and a start of rswap@ while etcd is away.
#
#	tests/vm/guest --systemd -- tests/vm/inside/rswap-pool.sh
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"
. "$here/systemd-lib.sh"
dir=/run/pki # certify's
. "$here/../../integration/etcd-functions.bash"

trap - EXIT # the journal has what the plugin said
address=10.77.0.1
host=etcd.test
pool=etcd://$host:2379/blue
results=/run/pagecheck.results
instance=rswap@far
control=/run/rswap/far/control.sock
etcd_options=(--pool-ca=/etc/rswap/pool-ca.pem --pool-login=/etc/rswap/pool.login)

start_etcd_unit()
{
	systemd-run --quiet --unit=pool-etcd -p Type=notify etcd --name=e \
		--data-dir=/run/etcd --cert-file=$dir/host.pem --key-file=$dir/host.key \
		--listen-client-urls=https://127.0.0.1:2379 \
		--advertise-client-urls=https://$host:2379 \
		--listen-peer-urls=http://127.0.0.1:2380
}

etcdctl()
{
	[ "$*" != "user add rswap-server" ] || set -- user add rswap-server:secret
	ETCDCTL_API=3 command etcdctl --endpoints=https://$host:2379 \
		--cacert=$dir/ca.pem --command-timeout=60s "$@"
}

# The role and the user as docs/pool.md makes them.
add_users()
{
	local command
	while IFS= read -r -u 3 command; do
		eval "$command"
	done 3< <(sed -n 's/^    \(etcdctl .* rswap-server.*\)/\1/p' "$RSWAP_SRC/docs/pool.md")
	etcdctl user add root:root-secret
	etcdctl user grant-role root root
	etcdctl auth enable
}

# in_pool STATE: the server, as etcd shows it
in_pool()
{
	rswapctl pool status $pool "${etcd_options[@]}" >/run/said 2>&1 &&
		grep -q "$address:10909 .*$1" /run/said
}

swaps()
{
	is $instance ActiveState active && grep -q "^$block_device " /proc/swaps
}

swap_a_program()
{
	systemctl start program || die "$(journal_of program)"
	[ "$(result_value pswpout $results)" -gt 5000 ] ||
		die "only $(result_value pswpout $results) pages were swapped out"
	[ "$(result_value mismatches $results)" = 0 ] || die "pages are wrong"
}

cat >/run/systemd/system/program.service <<-END
[Service]
Type=oneshot
ExecStart=$RSWAP_BUILD/tests/pagecheck --size=80M --random=200
StandardOutput=truncate:$results
MemoryMax=40M
END

say "an etcd with TLS and users"
mkdir -p $dir
certify_all
echo "127.0.0.1 $host" >>/etc/hosts
start_etcd_unit
add_users

say "the memory server is in the pool"
install_units
mkdir -p /etc/rswap /etc/systemd/system/rswap-memserver.service.d /var/lib/rswap
chmod 0700 /etc/rswap
cp $dir/ca.pem /etc/rswap/pool-ca.pem
(umask 077 && echo rswap-server:secret >/etc/rswap/pool.login)
(umask 077 && rswapctl genkey far >/etc/rswap/far.keys)
cp /etc/rswap/far.keys /etc/rswap/memserver.keys
{
	echo "[Service]"
	sed -n 's/^    \(LoadCredential=pool-\(ca\|login\):.*\)/\1/p' "$RSWAP_SRC/docs/pool.md"
} >/etc/systemd/system/rswap-memserver.service.d/pool.conf
credentials=/run/credentials/rswap-memserver.service
echo "OPTIONS=\"--memory=256M --listen=$address --transport=tcp --zone=rack-7 --pool=$pool \
--pool-ca=$credentials/pool-ca --pool-login=$credentials/pool-login\"" >/etc/default/rswap-memserver
systemctl daemon-reload
systemctl start rswap-memserver || die "it does not start: $(journal_of rswap-memserver)"
await 60 in_pool serving || die "$(</run/said) $(journal_of rswap-memserver)"
grep -q rack-7 /run/said || die "$(</run/said)"

say "an instance finds it there, and reserves its memory"
cat >/etc/rswap/far.conf <<-END
SIZE=128M
OPTIONS="--pool=$pool ${etcd_options[*]} --pool-state=/var/lib/rswap/far.pool --pool-reserve=all --psk-file=/etc/rswap/far.keys"
END
systemctl start $instance || die "it does not start: $(journal_of $instance)"
swaps || die "/proc/swaps: $(</proc/swaps)"
[ "$(status_value pool.state $control)" = current ] || die "$(status_value pool.error $control)"
[ "$(status_value pool.reserved_bytes $control)" -ge $((128 << 20)) ] ||
	die "it has reserved $(status_value pool.reserved_bytes $control)"
[ "$front" != nbd ] || [ "$(status_value confined $control)" = yes ] || die "it can change any file"
swap_a_program
rswapctl check || die "check is not content"

say "etcd ends: swap goes on, and both say so"
systemctl stop pool-etcd
swap_a_program
await 60 journal_has rswap-memserver "etcd" || die "$(journal_of rswap-memserver)"
away() { [ "$(status_value pool.state $control)" != current ]; }
await 90 away || die "it is $(status_value pool.state $control)"

say "it starts while etcd is away"
sed -i 's/ --pool-reserve=all//' /etc/rswap/far.conf # which etcd has to promise
systemctl restart $instance || die "it does not start: $(journal_of $instance)"
swaps || die "/proc/swaps: $(</proc/swaps)"
swap_a_program

say "etcd comes back, without what it had"
rm -rf /run/etcd
start_etcd_unit
add_users
await 120 in_pool serving || die "$(</run/said) $(journal_of rswap-memserver)"
here_again() { [ "$(status_value pool.state $control)" = current ]; }
await 120 here_again || die "it is $(status_value pool.state $control): $(journal_of $instance)"
swap_a_program

say "the server leaves the pool when it ends"
systemctl stop $instance
systemctl stop rswap-memserver
gone() { rswapctl pool status $pool "${etcd_options[@]}" >/run/said 2>&1; ! grep -q "$address" /run/said; }
await 30 gone || die "$(</run/said)"
! journal_of rswap-memserver | grep -i "seccomp\|SIGSYS\|killed" || die "its filter ended something"
kernel_log_clean
say "done: a pool under systemd"
