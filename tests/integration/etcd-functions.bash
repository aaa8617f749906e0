# Real etcds, for tests that source functions.sh.
# shellcheck shell=bash

free_ports() { # N: ports that are free now
	perl -MIO::Socket::INET -e '
		my @s = map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") } 1 .. shift;
		print join(" ", map { $_->sockport } @s), "\n"' "$1"
}

# start_etcds NAME...: a cluster of so many.  A name that was started before has its
# ports again, and its data unless that was removed.
declare -A peer_port etcd_extra
etcd_host=127.0.0.1 # where clients find them
start_etcds() {
	local name ports cluster=
	for name; do
		[ -z "${port[$name]:-}" ] || continue
		read -ra ports < <(free_ports 2)
		port[$name]=${ports[0]}
		peer_port[$name]=${ports[1]}
	done
	for name; do
		cluster+=${cluster:+,}$name=http://127.0.0.1:${peer_port[$name]}
	done
	for name; do
		start_etcd "$name" "$cluster"
	done
	for name; do
		expect 60 etcd_answers "$name"
	done
}

# start_etcd NAME CLUSTER: etcd_extra[NAME] has more options, as words
start_etcd() {
	local name=$1 cluster=$2 scheme=http extra=()
	read -ra extra <<<"${etcd_extra[$name]:-}"
	[[ "${etcd_extra[$name]:-}" != *--cert-file* ]] || scheme=https
	etcd --name="$name" --data-dir="$dir/$name.etcd" \
		--listen-client-urls="$scheme://$etcd_host:${port[$name]}" \
		--advertise-client-urls="$scheme://$etcd_host:${port[$name]}" \
		--listen-peer-urls="http://127.0.0.1:${peer_port[$name]}" \
		--initial-advertise-peer-urls="http://127.0.0.1:${peer_port[$name]}" \
		--initial-cluster="$cluster" "${extra[@]}" >>"$dir/$name.etcd.log" 2>&1 &
	pid[$name]=$!
}

# It serves, and has a leader.
etcd_answers() { # NAME
	if [[ "${etcd_extra[$1]:-}" = *--cert-file* ]]; then
		(: </dev/tcp/"$etcd_host/${port[$1]}") 2>/dev/null
	else
		etcd_do "$1" endpoint health >/dev/null 2>&1
	fi
}

etcd_do() { # NAME ETCDCTL-ARGUMENT...
	ETCDCTL_API=3 etcdctl --endpoints="$etcd_host:${port[$1]}" --command-timeout=$((10 * slow))s "${@:2}"
}

registered() { # N: servers in the pool blue of the etcd e
	[ "$(etcd_do e get --prefix /rswap/1/blue/servers/ --keys-only | grep -c .)" = "$1" ]
}

# certify NAME TEMPLATE-LINE...: NAME.pem and NAME.key, of the authority ca, but for ca
# itself and "other", which are authorities
certify() {
	certtool --generate-privkey --key-type=ecdsa --outfile="$dir/$1.key" 2>/dev/null
	printf '%s\n' "cn=$1" "${@:2}" >"$dir/$1.template"
	if [ "$1" = ca ] || [ "$1" = other ]; then
		certtool --generate-self-signed --load-privkey="$dir/$1.key" \
			--template="$dir/$1.template" --outfile="$dir/$1.pem" 2>/dev/null
	else
		certtool --generate-certificate --load-privkey="$dir/$1.key" \
			--load-ca-certificate="$dir/ca.pem" --load-ca-privkey="$dir/ca.key" \
			--template="$dir/$1.template" --outfile="$dir/$1.pem" 2>/dev/null
	fi
}

# etcd_test_is_here: the name etcd.test is this machine's, as localhost is.  The test has
# a mount namespace of its own.
etcd_test_is_here() {
	requires mount --make-rprivate /
	printf '127.0.0.1 localhost etcd.test\n' >"$dir/hosts"
	requires mount --bind "$dir/hosts" /etc/hosts
}

# certify_all: "host" for an etcd that is found as etcd.test, and not as localhost; "client"
# of the same authority; "stranger", of another one, "other"
certify_all() {
	certify ca ca cert_signing_key
	certify other ca cert_signing_key
	certify host dns_name=etcd.test ip_address=127.0.0.1 tls_www_server tls_www_client signing_key
	certify client tls_www_client signing_key
	cp "$dir/ca.pem" "$dir/right.pem"
	cp "$dir/ca.key" "$dir/right.key"
	cp "$dir/other.pem" "$dir/ca.pem"
	cp "$dir/other.key" "$dir/ca.key"
	certify stranger tls_www_client signing_key
	cp "$dir/right.pem" "$dir/ca.pem"
	cp "$dir/right.key" "$dir/ca.key"
}

# start_tls_etcd NAME: it wants a certificate of each client
start_tls_etcd() {
	etcd_extra[$1]="--cert-file=$dir/host.pem --key-file=$dir/host.key --client-cert-auth --trusted-ca-file=$dir/ca.pem"
	start_etcds "$1"
}

# make_keys IDENTITY...: IDENTITY.key of each, and "keys" with all of them
make_keys() {
	local name
	for name; do
		(umask 077 && "$ctl" genkey "$name" | tee -a "$dir/keys" >"$dir/$name.key")
	done
}
