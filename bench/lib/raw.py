"""bench/run raw: one request beside one of the bare network's, CPU per page,
reads beside writes; in a virtual machine, over soft-RoCE."""

from lib import control, cost, fio, guest, rounds
from lib.errors import Failed
from lib.local import Bed
from lib.paths import NBDLAT
from lib.processes import run
from lib.samples import Outcome, Point

TITLES = {
    "verbs": "perftest's ib_read_lat, ib_write_lat, ib_read_bw, ib_write_bw: "
             "RDMA alone",
    "rswap-rdma": "rswap over RDMA (soft-RoCE), encrypt=off, through libnbd",
    "rswap-tcp": "rswap over TCP, encrypt=off, through libnbd",
    "two-hop": "nbdkit nbd plugin -> TCP -> nbdkit memory, through libnbd",
    "nbd-memory": "nbdkit memory, through libnbd: no network",
}
NBD = tuple(TITLES)[1:]
SERVER = "10.77.0.1"
SIZE = "256M"
MIX_WRITES = 32
COST_DEPTH = 16
VERBS_PER_S = 5000  # about what an emulated guest does
SETUP_S = 40


class Systems:
    """What runs of each system: its nbdkit, and its server."""

    def __init__(self, bed):
        self.bed = bed
        self.nbdkit = {}
        self.server = {}

    def start(self, systems):
        for name in systems:
            if name.startswith("rswap-"):
                rounds.say(f"bringing up {name}")
                self.start_rswap(name, name[6:])
        if "nbd-memory" in systems:
            self.nbdkit["nbd-memory"] = self.bed.start_nbdkit(
                "nbd-memory", "memory", SIZE)
        if "two-hop" in systems:
            port = self.bed.start_nbdkit_tcp("second-hop", "memory", SIZE)
            self.server["two-hop"] = self.bed.processes.running[-1]
            self.nbdkit["two-hop"] = self.bed.start_nbdkit(
                "two-hop", "nbd", "hostname=127.0.0.1", f"port={port}")

    def start_rswap(self, name, transport):
        """With a memory server of its own, so that what that takes is for
        nobody else."""
        server = f"{name}-server"
        self.server[name] = self.bed.start_memserver(server, "512M",
                                                     address=SERVER)
        self.nbdkit[name] = self.bed.start_rswap(
            name, [f"{SERVER}:{self.bed.port(server)}"], SIZE,
            f"transport={transport}", "encrypt=off")

    def target(self, name):
        return fio.nbd_target(self.bed.socket(name))

    def parts(self, name):
        found = {"nbdkit": [self.nbdkit[name]]}
        if name in self.server:
            found["server"] = [self.server[name]]
        return found


# --- what is measured ---

def nbdlat(systems, name, *options):
    text = run([NBDLAT, f"--socket={systems.bed.socket(name)}", *options])
    return {key: float(value) for key, value in
            (line.split("=") for line in text.splitlines())
            if key != "background_writes"}


def latency(systems, name, operation, count):
    from inside import perftest
    if name == "verbs":
        return perftest.latency(systems.bed, SERVER, operation, count)
    options = ["--write"] if operation == "write" else []
    found = nbdlat(systems, name, f"--count={count}", *options)
    return Outcome({f"p{p}_us": found[p] for p in ("50", "99", "99.9")},
                   found)


def beside_writes(systems, name, count):
    alone = nbdlat(systems, name, f"--count={count}")
    busy = nbdlat(systems, name, f"--count={count}", f"--writes={MIX_WRITES}")
    return Outcome({"p99_ratio": busy["99"] / alone["99"],
                    "alone_p99_us": alone["99"], "busy_p99_us": busy["99"]},
                   busy)


def cost_of_verbs(systems, operation, seconds):
    """What no plugin could do without: a page, and nothing else."""
    from inside import perftest
    count = int(VERBS_PER_S * seconds)
    meter = cost.Meter({})
    rate = perftest.rate(systems.bed, SERVER, operation, count, COST_DEPTH)
    machine = meter.per_million(count)["machine_cpu_s_per_million"]
    return Outcome({"iops": rate, "machine_cpu_s_per_million": machine})


def cost_of(systems, name, operation, seconds):
    """server_idle_...: what the server takes for control in as much time,
    however many pages there are."""
    if name == "verbs":
        return cost_of_verbs(systems, operation, seconds)
    metrics, pages = cost.measure(systems.target(name), f"rand{operation}",
                                  COST_DEPTH, SIZE, seconds,
                                  systems.parts(name))
    if name in systems.server:
        idle_s = cost.idle_s(systems.server[name], seconds)
        metrics["server_idle_s_per_million"] = idle_s * cost.PER / pages
    return Outcome(metrics)


def latency_points(systems, count):
    for operation in ("read", "write"):
        yield Point(f"one {operation}", {"latency": operation},
                    3 + count / 500,
                    lambda name, op=operation: latency(systems, name, op,
                                                       count))


def points(options, systems):
    count = 200 if options.smoke else 1000 if options.quick else 5000
    seconds = options.seconds if options.smoke else 5 * options.seconds
    found = [*latency_points(systems, count)]
    found.append(Point(f"reads beside {MIX_WRITES} writes",
                       {"busy": f"{MIX_WRITES} writes"}, 4 + count / 100,
                       lambda name: beside_writes(systems, name, count), NBD))
    for operation in ("read", "write"):
        found.append(Point(
            f"cost of {operation}s", {"cost": operation}, 4 + 2 * seconds,
            lambda name, op=operation: cost_of(systems, name, op, seconds)))
    return [p for p in found if options.wants(p.name)]


def add_share(samples):
    """What of a request through rswap is neither nbd's nor the network's."""
    for operation in ("read", "write"):
        rswap, memory, verbs = (
            samples.median("p50_us", system, latency=operation)
            for system in ("rswap-rdma", "nbd-memory", "verbs"))
        if None in (rswap, memory, verbs):
            continue
        share_us = rswap - memory - verbs
        samples.add(Point(f"the plugin's share of one {operation}",
                          {"share": operation}, 0), "rswap-rdma",
                    Outcome({"share_us": share_us,
                             "share_percent": 100 * share_us / rswap}))


# --- on the host ---

def measure(options):
    systems = rounds.choose(options, TITLES)
    planned = points(options, None)
    rounds.announce("raw", planned, systems, options, SETUP_S)
    seconds = rounds.expected_s(planned, systems, options.rounds) + SETUP_S
    return guest.measure(options, 3600 + int(8 * seconds))


# --- in a guest ---

def verify(running, systems):
    verified = {}
    for name in systems:
        if not name.startswith("rswap-"):
            continue
        fio.verify(name, running.target(name), "16M")
        status = running.bed.status(name)
        control.check_errors(name, status, name[6:])
        verified[name] = {"fio": "crc32c of random writes: all right",
                          "errors": int(status["errors"]),
                          "retries": int(status["retries"])}
    return verified


def work(options):
    from inside import devices
    systems = rounds.choose(options, TITLES)
    with Bed(options.threads, options.keys) as bed:
        devices.rxe_up()
        running = Systems(bed)
        running.start(systems)
        for name in [s for s in systems if s in NBD]:
            # said, as a guest that says nothing for long is ended
            rounds.say(f"filling {name}")
            fio.fill(running.target(name), SIZE)
        samples = rounds.measure(points(options, running), systems,
                                 options.rounds)
        verified = verify(running, systems)
    add_share(samples)
    return samples, verified


def inside(options):
    if options.inside != "both":
        raise Failed(f"--inside={options.inside}: allowed is both")
    guest.inside(lambda: work(options))
