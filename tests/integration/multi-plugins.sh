#!/bin/bash
# Four plugins on one server, at the same time, each with data of its own.
. "$(dirname "$0")/functions.sh"

start_server s --memory=128M --slab-size=1M --threads=2
lanes=0
for n in 1 2 3 4; do
	lanes=$((lanes + $(tcp_connections $n)))
	start_plugin "p$n" "$(server s)" size=16M lanes=$n
	expect_req "p$n" ok "write:8M:8M:$((n * 8))"
done
expect_value s sessions -eq 4
expect_value s lanes -eq $lanes
for n in 1 2 3 4; do
	start_shadow "load$n" "p$n" --size=8M --connections=2 \
		--depth=2
done
for n in 1 2 3 4; do
	expect_more 20 "p$n" writes $((500 / slow))
	finish_shadow "load$n"
done
for n in 1 2 3 4; do
	expect_req "p$n" "stamp $((n * 8))" read:8M:8M
	expect_value "p$n" errors -eq 0
done

# One that ends gives back its slabs and nobody else's.
stop p2
expect 5 is s sessions -eq 3
for n in 1 3 4; do
	expect_req "p$n" "stamp $((n * 8))" read:8M:8M
	expect_req "p$n" ok trim:0:16M
done
expect 5 is s slabs_used -eq 0
expect_value s errors -eq 0
