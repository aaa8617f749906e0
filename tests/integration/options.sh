#!/bin/bash
# Wrong options and values of plugin and server, and what is missing on the
# machine: exit status 1, and one line that says what and what is allowed.
. "$(dirname "$0")/functions.sh"

start_server s --memory=64M --slab-size=1M
address=$(server s)
wrong_answers=0

# All that is wrong is told, before the test fails.
fail() {
	say "$*" >&2
	wrong_answers=$((wrong_answers + 1))
}

plugin_refuses "lanes=0 1 to 256" "$address" size=32M lanes=0
for wrong in 257 -1 x 4x "" 99999999999999999999; do
	plugin_refuses "lanes=$wrong 1 256" "$address" size=32M lanes="$wrong"
done
for wrong in 0 abc 4097 -4096 1X "" 1025T 4K4 18446744073709551616 0x; do
	plugin_refuses "size=$wrong 4096 1024T" "$address" size="$wrong"
done
for wrong in udp "" RDMA tcp,rdma; do
	plugin_refuses "transport=$wrong auto rdma tcp" "$address" size=32M \
		transport="$wrong"
done
for wrong in -1 1001 fast "" 1.5; do
	plugin_refuses "spin=$wrong auto 0 1000" "$address" size=32M spin="$wrong"
done
for wrong in 0 601 -1 soon ""; do
	plugin_refuses "timeout=$wrong 1 600" "$address" size=32M timeout="$wrong"
done
for wrong in maybe 2 ""; do
	plugin_refuses "strict=$wrong 1 0" "$address" size=32M strict="$wrong"
done
for wrong in "" localhost:0 localhost:65536 localhost:x localhost: "[::1" \
	:10909; do
	plugin_refuses "server=$wrong HOST[:PORT]" server="$wrong" size=32M
done
plugin_refuses "control=$dir/none/c" "$address" size=32M control="$dir/none/c"
plugin_refuses "control=$dir/err" "$address" size=32M control="$dir/err"
plugin_refuses "control= path" "$address" size=32M control=
plugin_refuses "colour=blue no such key server size lanes" "$address" size=32M \
	colour=blue
plugin_refuses "server missing HOST" size=32M
plugin_refuses "size missing SIZE" "$address"

# all that was wrong before a server was asked; now it is
expect_value s sessions -eq 0
plugin_refuses "server=127.0.0.1:1 refused" 127.0.0.1:1 size=32M timeout=2
plugin_refuses "server=127.0.0.1:1 refused" "$address" 127.0.0.1:1 size=32M timeout=2
plugin_refuses "server=no.such.host.invalid:10909" no.such.host.invalid size=32M \
	timeout=2
plugin_refuses "size=65M 68157440 64M 67108864" "$address" size=65M
# one server twice, under the same address, another name, or another port
plugin_refuses "server=$address same memory server once" "$address" "$address" size=96M
plugin_refuses "server=$address server=localhost:${port[s]} same memory server once" \
	"$address" "localhost:${port[s]}" size=32M
start_server two --memory=64M --slab-size=1M --listen=127.0.0.1:0
plugin_refuses "server=127.0.0.1:$(head -n 1 "$dir/two.port") same once
	server=127.0.0.1:$(tail -n 1 "$dir/two.port")" \
	"$address" "127.0.0.1:$(head -n 1 "$dir/two.port")" \
	"127.0.0.1:$(tail -n 1 "$dir/two.port")" size=32M
start_server t --memory=64M --slab-size=2M
plugin_refuses "server=$(server t) slabs 2M 1M same" "$address" "$(server t)" size=32M
start_server u --memory=32M --slab-size=1M
plugin_refuses "size=97M 101711872 96M 100663296" "$address" "$(server u)" size=97M
if [ -z "$(ls /sys/class/infiniband 2>/dev/null)" ]; then
	plugin_refuses "server=$address transport=rdma" "$address" size=32M \
		transport=rdma
fi

# strict=1 where a setting is refused
if setpriv --bounding-set -sys_resource true 2>/dev/null; then
	status=0
	nbdkit_command
	rm -f "$dir/p.sock"
	timeout $((20 * slow)) setpriv --bounding-set -sys_resource \
		"${nbdkit[@]}" -U "$dir/p.sock" "$plugin" "$address" size=32M \
		strict=1 >"$dir/out" 2>"$dir/err" || status=$?
	[ "$status" = 1 ] || fail "strict=1: exit status $status"
	expect_line "$dir/err" io_flusher CAP_SYS_RESOURCE refused
	expect_line "$dir/err" strict=1 refuses
	expect_value s sessions -eq 0
	# and without it, the same lines, once, and it serves
	rm -f "$dir/p.sock"
	start_plugin p "$address" size=32M
	expect_req p zeros read:0:4096
	stop p
fi

here=--listen=127.0.0.1:0
for wrong in 0 abc -1 "" 1X 1025T; do
	server_refuses "--memory=$wrong 1024T" "$here" --memory="$wrong"
done
server_refuses "--memory= least 2M" "$here" --memory=1M
# more than an address can tell
server_refuses "--memory=1024T cannot reserve address space" "$here" \
	--memory=1024T
server_refuses "--memory=SIZE required" "$here"
for wrong in 0 512K 2G 3M abc ""; do
	server_refuses "--slab-size=$wrong power two 1M 1G" "$here" \
		--memory=1G --slab-size="$wrong"
done
for wrong in udp ""; do
	server_refuses "--transport=$wrong auto rdma tcp" "$here" --memory=1G \
		--transport="$wrong"
done
for wrong in 0 257 x ""; do
	server_refuses "--threads=$wrong 1 256" "$here" --memory=1G \
		--threads="$wrong"
done
for wrong in 0 4097 x; do
	server_refuses "--max-sessions=$wrong 1 4096" "$here" --memory=1G \
		--max-sessions="$wrong"
done
for wrong in -1 1025 x; do
	server_refuses "--stock=$wrong 0 1024" "$here" --memory=1G \
		--stock="$wrong"
done
for wrong in -1 3601 x; do
	server_refuses "--grace=$wrong 0 3600" "$here" --memory=1G \
		--grace="$wrong"
done
for wrong in -1 101 x; do
	server_refuses "--reclaim=$wrong 0 100" "$here" --memory=1G \
		--reclaim="$wrong"
done
for wrong in "" 12345678901234567890123456789012 $'a\tb' é 'a b'; do
	server_refuses "--zone=$wrong 1 31 printable" "$here" --memory=1G \
		--zone="$wrong"
done
if ! head -n 1 /proc/pressure/memory >/dev/null 2>&1; then
	server_refuses "--reclaim=10 /proc/pressure/memory psi=1" "$here" \
		--memory=1G --reclaim=10
fi
for wrong in "" 127.0.0.1:65536 127.0.0.1:x "[::1" :1; do
	server_refuses "--listen=$wrong HOST PORT" --memory=1G \
		--listen="$wrong"
done
# an address of nobody here (TEST-NET-1), and one that is taken
server_refuses "192.0.2.1" --memory=1G --listen=192.0.2.1:0 \
	--allow-unauthenticated
server_refuses "$address in use" --memory=1G --listen="$address"
for option in port-file pidfile control; do
	server_refuses "--$option=" "$here" --memory=1G --"$option"=
	server_refuses "--$option=$dir/none/x No such file" "$here" \
		--memory=1G --"$option=$dir/none/x"
done
server_refuses "--user= text" "$here" --memory=1G --user=
server_refuses "--user=no-such-user not a user" "$here" --memory=1G \
	--user=no-such-user
server_refuses "--no-seccomp=yes" "$here" --memory=1G --no-seccomp=yes
server_refuses "--colour=blue allowed --memory --listen --stock --help --version" \
	"$here" --memory=1G --colour=blue
server_refuses "-m allowed --memory" "$here" -m 1G
server_refuses "--memory value" "$here" --memory
server_refuses "--hugepages value" "$here" --memory=1G --hugepages=yes
server_refuses "extra" "$here" --memory=1G extra
if [ -z "$(ls /sys/class/infiniband 2>/dev/null)" ]; then
	server_refuses "--transport=rdma" "$here" --memory=1G --transport=rdma
fi
if grep -q '^HugePages_Total: *0$' /proc/meminfo; then
	server_refuses "--hugepages vm.nr_hugepages" "$here" --memory=1G \
		--hugepages
fi

# A limit of locked memory below --memory; root may lock anything.
chmod 755 "$dir"
cp "$memserver" "$dir/memserver"
limited=(prlimit --memlock=65536:65536)
if [ "$(id -u)" = 0 ]; then
	limited+=(setpriv --reuid=65534 --clear-groups --inh-caps=-all)
fi
if "${limited[@]}" "$dir/memserver" --version >/dev/null 2>&1; then
	status=0
	timeout $((20 * slow)) "${limited[@]}" "$dir/memserver" "$here" \
		--memory=1G >"$dir/out" 2>"$dir/err" || status=$?
	[ "$status" = 1 ] || fail "memlock: exit status $status"
	expect_one_line "$dir/err" --memory=1G 64K 1G LimitMEMLOCK \
		"ulimit -l 1048576" limits.conf
else
	say "the limit of locked memory cannot be tried here"
fi

# The journal's variables are inherited, and standard error is another one.
JOURNAL_STREAM=1:1 INVOCATION_ID=1 start_server j --memory=64M
expect_line "$dir/j.log" "rswap-memserver: listening on"

# --help and --version
"$memserver" --help | grep -e --memory=SIZE >/dev/null || fail "no --help"
"$memserver" --version | grep -qE '^rswap-memserver [0-9]' || fail "no version"
nbdkit_command
"${nbdkit[@]}" "$plugin" --help | grep size=SIZE >/dev/null || fail "no --help"
"${nbdkit[@]}" "$plugin" --dump-plugin >"$dir/dump"
for key in rswap_version=0 rswap_protocol=3 rswap_transports= \
	rswap_rdma_device= "rswap_keys=server pool"; do
	expect_line "$dir/dump" "$key"
done
[ "$wrong_answers" = 0 ]
