"""perftest: RDMA without rswap and without nbd."""

import subprocess

from lib.errors import Failed
from lib.processes import Process, run
from lib.samples import Outcome

BLOCK_BYTES = 4096
# What comes after bytes and iterations: microseconds; and MB/s and millions.
LATENCIES = ("min", "max", "50", "mean", "deviation", "99", "99.9")
RATES = ("peak", "average", "millions_per_s")


def parse(text, columns):
    """The one line of figures."""
    for line in text.splitlines():
        words = line.split()
        if (len(words) == 2 + len(columns)
                and words[0] == str(BLOCK_BYTES)):
            return dict(zip(columns, map(float, words[2:])))
    raise Failed("perftest: there is no line of figures")


def listening(port):
    done = subprocess.run(["ss", "-Hltn", f"sport = :{port}"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() != ""


def between_two(bed, address, program, count, *options, port=18515):
    """Runs a program of perftest against itself; what it says."""
    command = [program, "-d", "rxe0", "-s", BLOCK_BYTES, "-n", count, "-F",
               "-p", port, *options]
    server = Process("perftest", command, bed.path("perftest.log"))
    try:
        server.await_ready(lambda: listening(port))
        return run([*command, address])
    finally:
        server.stop()


def rate(bed, address, operation, count, depth):
    """ib_read_bw or ib_write_bw: how many a second."""
    found = parse(between_two(bed, address, f"ib_{operation}_bw", count,
                              f"--tx-depth={depth}"), RATES)
    return found["millions_per_s"] * 1e6


def latency(bed, address, operation, count):
    """ib_read_lat or ib_write_lat.  The latter gives half of a round trip."""
    found = parse(between_two(bed, address, f"ib_{operation}_lat", count),
                  LATENCIES)
    percentiles = {p: found[p] for p in ("50", "99", "99.9")}
    return Outcome({f"p{p}_us": us for p, us in percentiles.items()},
                   percentiles)
