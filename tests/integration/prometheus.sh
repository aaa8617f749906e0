#!/bin/bash
# A real Prometheus scrapes a plugin and a memory server, in a pool; the alerts fire when
# they should, and the dashboard's queries have answers.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

alerts=$src/monitoring/alerts.yml
key=$(printf '%064d' 7)
(umask 077 && echo "alpha:$key" >"$dir/keys")
echo "alpha memory=48M guaranteed=8M" >"$dir/tenants"

say "alert rules"
promtool check rules "$alerts" >"$dir/said" 2>&1 || fail "$(cat "$dir/said")"
promtool test rules "$src/tests/monitoring/alerts_test.yml" >"$dir/said" 2>&1 ||
	fail "$(cat "$dir/said")"
sed -n 's/^ *- alert: //p' "$alerts" | sort >"$dir/alerts"
[ "$(wc -l <"$dir/alerts")" -gt 10 ] || fail "no alerts"
# each is tested, and in the manual
for alert in $(cat "$dir/alerts"); do
	has "$src/tests/monitoring/alerts_test.yml" "alertname=\"$alert\"" ||
		fail "alerts_test.yml lacks $alert"
done
diff "$dir/alerts" <(sed -n 's/^| `\(Rswap[A-Za-z]*\)` .*/\1/p' "$src/docs/monitoring.md" | sort) ||
	fail "alerts.yml (<) and docs/monitoring.md (>) differ"

at() { # NAME: where its figures are
	expect_line "$dir/$1.log" "figures at http"
	grep -o '127\.0\.0\.1:[0-9]*/, for' "$dir/$1.log" | tail -n 1 | cut -d/ -f1
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
start_server a --memory=64M --slab-size=1M --psk-file="$dir/keys" \
	--tenants="$dir/tenants" --metrics=0 --pool="$pool"
start_server b --memory=64M --slab-size=1M --psk-file="$dir/keys" --pool="$pool"
expect 20 registered 2
start_plugin p pool="$pool" pool-reserve=all size=24M replicas=2 psk-file="$dir/keys" \
	metrics=0
start_shadow load p --connections=2
expect_more 10 p writes 100

cat >"$dir/prometheus.yml" <<-END
	global: {scrape_interval: 1s, evaluation_interval: 1s}
	rule_files: ["$alerts"]
	scrape_configs:
	  - job_name: rswap
	    static_configs: [{targets: ["$(at a)", "$(at p)"]}]
END
promtool check config "$dir/prometheus.yml" >"$dir/said" 2>&1 || fail "$(cat "$dir/said")"

# Prometheus does not tell which port it got, so one that is free now is taken.
start_prometheus() {
	port[prometheus]=$(perl -MIO::Socket::INET -e '
		print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
	prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/tsdb" \
		--web.listen-address="127.0.0.1:${port[prometheus]}" >"$dir/prometheus.log" 2>&1 &
	pid[prometheus]=$!
}

# query QUERY: Prometheus' answer, a line "value labels" for each series
query() {
	curl -fsS --max-time 20 "http://127.0.0.1:${port[prometheus]}/api/v1/query" \
		--data-urlencode "query=$1" | perl -MJSON::PP -e '
		local $/;
		for (@{decode_json(<STDIN>)->{data}{result}}) {
			my $labels = $_->{metric};
			print "$_->{value}[1] ", join(" ", map { "$_=$labels->{$_}" } sort keys %$labels), "\n";
		}'
}

# answers QUERY PATTERN: a line of the answer matches
answers() {
	query "$1" 2>/dev/null | grep -qE "$2"
}

say "a Prometheus scrapes both"
start_prometheus
expect 60 answers 'count(up{job="rswap"} == 1)' '^2 '
for query in 'rswap_build_info{role="plugin"}' 'rswap_build_info{role="memserver"}' \
	'rswap_server_state{state="up"} == 1' 'rswap_memserver_sessions{state="connected"} == 1' \
	'rate(rswap_requests_total{op="write"}[30s]) > 0' \
	'rate(rswap_memserver_request_bytes_total{op="write"}[30s]) > 0' \
	'histogram_quantile(0.99, rate(rswap_request_duration_seconds_bucket{op="read"}[30s])) > 0'; do
	expect 60 answers "$query" .
done
# Nothing was left out of what it got.
for name in a p; do
	series=$(curl -fsS "http://$(at $name)/metrics" | grep -cv '^#')
	expect 30 answers "scrape_samples_post_metric_relabeling{instance=\"$(at $name)\"}" "^$series "
done

say "the alerts' and the dashboard's metrics are there"
query 'count by (__name__) ({__name__=~"rswap_.*"})' | sed 's/.*__name__=\([^ ]*\).*/\1/' |
	sort -u >"$dir/there"
for file in "$alerts" "$src/monitoring/dashboard.json"; do
	grep -oE '\brswap_[a-z_]+' "$file" | sort -u >"$dir/wanted"
	missing=$(comm -23 "$dir/wanted" "$dir/there")
	[ -z "$missing" ] || fail "$(basename "$file") wants ${missing//$'\n'/ }, which nobody tells"
done
# Of the pool all that is told is on the dashboard, but for what is an alert only.
missing=$(grep -E '^rswap_(memserver_)?pool_' "$dir/there" | grep -vxE 'rswap_pool_away' |
	while read -r metric; do
		grep -qE "\b$metric\b" "$src/monitoring/dashboard.json" || echo "$metric"
	done)
[ -z "$missing" ] || fail "dashboard.json lacks ${missing//$'\n'/ }"
# What the manual has as examples is answered.
sed -n '/^## Totals of a pool/,/^## /s/^    //p' "$src/docs/monitoring.md" >"$dir/queries"
[ "$(wc -l <"$dir/queries")" -ge 5 ] || fail "docs/monitoring.md: no queries of a pool"
while read -r query; do
	answers "$query" . || fail "docs/monitoring.md: $query: no answer"
done <"$dir/queries"
python3 "$src/tests/monitoring/dashboard.py" "$src/monitoring/dashboard.json" \
	"http://127.0.0.1:${port[prometheus]}" >"$dir/said" 2>&1 ||
	fail "dashboard.json: $(cat "$dir/said")"

say "an alert becomes pending when a server dies"
expect 30 answers 'count(rswap_server_state{state="up"})' '^2 '
! answers 'ALERTS{alertname="RswapServerNotUp"}' . || fail "an alert without a reason"
stop b KILL || true
expect 60 answers 'ALERTS{alertname="RswapServerNotUp"}' "server=$(server b)"
finish_shadow load
stop prometheus || fail "Prometheus' end: $(tail -n 3 "$dir/prometheus.log")"
stop p
stop a
stop e || true
