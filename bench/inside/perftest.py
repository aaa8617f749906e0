"""perftest: RDMA without rswap and without nbd."""

import subprocess

from lib.errors import Failed
from lib.processes import Process, run
from lib.samples import Outcome

# Its columns: bytes, iterations, then microseconds.
COLUMNS = ("min", "max", "50", "mean", "deviation", "99", "99.9")


def parse(text):
    """The one line of figures."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 + len(COLUMNS) and words[0] == "4096":
            return dict(zip(COLUMNS, map(float, words[2:])))
    raise Failed("perftest: there is no line of figures")


def listening(port):
    done = subprocess.run(["ss", "-Hltn", f"sport = :{port}"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() != ""


def latency(bed, address, operation, count, port=18515):
    """ib_read_lat or ib_write_lat.  The latter gives half of a round trip."""
    command = [f"ib_{operation}_lat", "-d", "rxe0", "-s", 4096, "-n", count,
               "-F", "-p", port]
    server = Process("perftest", command, bed.path("perftest.log"))
    try:
        server.await_ready(lambda: listening(port))
        found = parse(run([*command, address]))
    finally:
        server.stop()
    percentiles = {p: found[p] for p in ("50", "99", "99.9")}
    return Outcome({f"p{p}_us": us for p, us in percentiles.items()},
                   percentiles)
