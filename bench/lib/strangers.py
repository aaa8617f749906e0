"""bench/run strangers: what a client with a key notices of connections that
nobody asked for; over TCP on this machine.  Its reads are timed alone and
beside them, each time."""

import re
from dataclasses import dataclass

from lib import control, fio, rounds
from lib.errors import Failed
from lib.local import Bed
from lib.paths import NBDLAT, RSWAPCTL, STRANGERS
from lib.processes import await_true, run
from lib.samples import Outcome, Point

TITLES = {"rswap-tcp": "rswap over TCP"}
SYSTEM = "rswap-tcp"
AREA = "64M"
LANES = 4
MANY = 1000     # addresses


@dataclass
class Crowd:
    name: str
    count: int
    every_s: int  # those that the server has ended come again
    shake: bool


CROWDS = (Crowd("silent", 10000, 5, False), Crowd("handshakes", 1000, 1, True))


def start(bed):
    """A server with keys and a client of it; the key."""
    keys = bed.path("keys")
    key = run([RSWAPCTL, "genkey", "node"]).strip()
    keys.touch(0o600)
    keys.write_text(key + "\n")
    bed.start_memserver("server", "256M", "--transport=tcp",
                        f"--psk-file={keys}")
    bed.start_rswap(SYSTEM, [f"127.0.0.1:{bed.port('server')}"], AREA,
                    f"lanes={LANES}", "transport=tcp", f"psk-file={keys}",
                    threads=2 * LANES)
    fio.fill(fio.nbd_target(bed.socket(SYSTEM)), AREA)
    return key


def reads(bed, count):
    text = run([NBDLAT, f"--socket={bed.socket(SYSTEM)}", f"--count={count}"])
    return {key: float(value) for key, value in
            (line.split("=") for line in text.splitlines())
            if key != "background_writes"}


def refused(bed):
    return int(bed.status("server")["connections_refused"])


def come(bed, crowd, addresses, key):
    """They stand for other machines, so they take what processors the client
    and the server leave.  Returns when the server has begun to end them."""
    before = refused(bed)
    process = bed.processes.start(
        "strangers", ["chrt", "--idle", "0", STRANGERS, bed.port("server"),
                      crowd.count, addresses, crowd.every_s,
                      *([key] if crowd.shake else [])],
        bed.path("strangers.log"))
    await_true(60, lambda: refused(bed) > before
               or process.child.poll() is not None, "no stranger comes")
    return process


def went(bed, process):
    bed.processes.stop(process)
    counts = re.fullmatch(r"opened (\d+) proved (\d+) ended (\d+)\n",
                          process.log.read_text())
    if not counts:
        raise Failed(process.epitaph())
    return [int(number) for number in counts.groups()]


def beside(crowd, addresses, count):
    with Bed() as bed:
        key = start(bed)
        alone = reads(bed, count)
        process = come(bed, crowd, addresses, key)
        busy = reads(bed, count)
        opened, proved, _ = went(bed, process)
        again = reads(bed, count)
        control.check_errors(SYSTEM, bed.status(SYSTEM), "tcp")
    p99 = (alone["99"] + again["99"]) / 2
    return Outcome({"p99_ratio": busy["99"] / p99, "alone_p50_us": alone["50"],
                    "alone_p99_us": p99, "beside_p50_us": busy["50"],
                    "beside_p99_us": busy["99"], "opened": opened,
                    "proved": proved}, busy)


def points(options):
    count = 2000 if options.smoke else 20000 * options.seconds
    found = [Point(f"{crowd.count} {crowd.name}, addresses: {addresses}",
                   {"strangers": crowd.name, "addresses": addresses},
                   4 + 3 * count / 8000,
                   lambda _, c=crowd, a=addresses: beside(c, a, count))
             for crowd in CROWDS for addresses in (1, MANY)]
    return [p for p in found if options.wants(p.name)]


def measure(options):
    return rounds.measure_alone("strangers", TITLES, points(options), options,
                                {"errors": 0})
