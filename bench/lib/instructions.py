"""bench/run instructions: what a request costs in a front end, in instructions.
Other programs, the processor's clock and the network change them little, so
that two versions can be told from each other on a busy machine.

Callgrind counts what the process does outside the kernel, all threads."""

from pathlib import Path

from lib import control, fio, machine, rounds
from lib.errors import Failed
from lib.local import Bed
from lib.paths import RSWAP_UBLK
from lib.processes import await_true, run
from lib.samples import Outcome, Point, Run

TITLES = {
    "rswap-tcp": "plugin in nbdkit, encrypt=off: a checksum of each page",
    "rswap-sealed-tcp": "plugin in nbdkit, sealed pages",
    "rswap-bare-tcp": "plugin in nbdkit, encrypt=off checksum=off: the way of "
                      "a request, and no byte of its page",
    "rswap-nbd": "rswap-nbd, encrypt=off",
    "rswap-sealed-nbd": "rswap-nbd, sealed pages",
    "rswap-bare-nbd": "rswap-nbd, encrypt=off checksum=off",
    "rswap-ublk": "rswap-ublk, encrypt=off",
    "rswap-bare-ublk": "rswap-ublk, encrypt=off checksum=off",
    "memory-unix": "nbdkit memory: no second process",
}
UBLK_CONTROL = Path("/dev/ublk-control")
UBLK_IDS = {"rswap-ublk": 17, "rswap-bare-ublk": 18}
SIZE = "16M"
# The difference of two counts: what a client costs that comes and goes is no
# request's.
FEW, MANY = 500, 2500
SETUP_S = 60
POINT_S = 6


def keys_of(system):
    """A loop that looks for work before it sleeps does so as long as the
    machine lets it, which is no cost of a request."""
    found = ["transport=tcp", "spin=0"]
    if "-sealed-" not in system:
        found.append("encrypt=off")
    if "-bare-" in system:
        found.append("checksum=off")
    return found


def titles(options):
    """Not every kernel has the ublk driver."""
    if UBLK_CONTROL.exists():
        return TITLES
    return {s: t for s, t in TITLES.items() if not s.endswith("-ublk")}


# --- what runs ---

def valgrind(bed, system):
    """Without locked memory: valgrind's own would be locked too, by any thread,
    and the thread that writes the log has no right to that."""
    return ("setpriv", "--bounding-set=-ipc_lock,-sys_resource", "prlimit",
            "--memlock=0:0", "valgrind", "--tool=callgrind",
            f"--callgrind-out-file={bed.path(system + '.count')}")


def start_ublk(bed, system, servers):
    pidfile = bed.path(f"{system}.pid")
    bed.start(system,
              [*valgrind(bed, system), RSWAP_UBLK, f"--id={UBLK_IDS[system]}",
               f"--pidfile={pidfile}",
               *bed.rswap_words(system, servers, SIZE, keys_of(system))],
              pidfile.exists)
    return fio.device_target(f"/dev/ublkb{UBLK_IDS[system]}")


def start(bed, system):
    """How fio reaches the system, whose front end is counted."""
    under = valgrind(bed, system)
    if system == "memory-unix":
        bed.start_nbdkit(system, "memory", SIZE, under=under)
        return fio.nbd_target(bed.socket(system))
    servers = [f"127.0.0.1:{bed.port('memserver')}"]
    if system.endswith("-ublk"):
        return start_ublk(bed, system, servers)
    if system.endswith("-nbd"):
        bed.start_rswap_nbd(system, servers, SIZE, *keys_of(system),
                            under=under)
    else:
        bed.start_rswap(system, servers, SIZE, *keys_of(system), under=under)
    return fio.nbd_target(bed.socket(system))


# --- what is counted ---

def total_of(text):
    """Of a file that callgrind has written."""
    for line in text.splitlines():
        if line.startswith("totals:"):
            return int(line.split()[1])
    raise Failed("callgrind has written no totals")


class Counter:
    """Callgrind's files are numbered; each counts from the one before."""

    def __init__(self, bed, system):
        self.base = bed.path(f"{system}.count")
        self.pid = bed.processes.find(system).pid
        self.files = 0

    def take(self):
        self.files += 1
        path = Path(f"{self.base}.{self.files}")
        run(["callgrind_control", "--dump", self.pid], timeout=120)
        await_true(60, lambda: path.exists() and "totals:" in path.read_text(),
                   f"callgrind does not write {path.name}")
        return total_of(path.read_text())


def count(counter, target, mode, depth, requests):
    counter.take()
    fio.run(["--name=count", *target, *fio.MODES[mode], "--bs=4k",
             f"--size={SIZE}", f"--iodepth={depth}", "--norandommap",
             f"--number_ios={requests}"])
    return counter.take()


def per_request(counter, target, mode, depth):
    few, many = (count(counter, target, mode, depth, n) for n in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def points(options, targets, counters):
    depths = (1,) if options.smoke else (1, 32)
    modes = ("randread",) if options.smoke else ("randread", "randwrite")
    for depth in depths:
        for mode in modes:
            def work(system, mode=mode, depth=depth):
                return Outcome({"instructions": per_request(
                    counters[system], targets[system], mode, depth)})
            point = Point(f"{mode} 4k d{depth}",
                          {"mode": mode, "depth": depth,
                           "counted": "request"}, POINT_S, work)
            if options.wants(point.name):
                yield point


def verify(bed, systems):
    """What was counted counts only if nothing failed."""
    found = {}
    for system in systems:
        if system.startswith("rswap-"):
            status = bed.status(system)
            control.check_errors(system, status, "tcp")
            found[system] = {"cipher": status["cipher"],
                             "errors": int(status["errors"])}
    return found


def measure(options):
    where, there = machine.describe(), titles(options)
    systems = rounds.choose(options, there)
    if there != TITLES:
        rounds.say("instructions: rswap-ublk is left out: this kernel has no "
                   f"ublk driver ({UBLK_CONTROL})")
    with Bed() as bed:
        rounds.announce("instructions", [*points(options, {}, {})], systems,
                        options, SETUP_S)
        bed.start_memserver("memserver", "512M", "--transport=tcp")
        targets = {}
        for system in systems:
            targets[system] = start(bed, system)
            fio.fill(targets[system], SIZE)
        counters = {system: Counter(bed, system) for system in systems}
        samples = rounds.measure([*points(options, targets, counters)],
                                 systems, options.rounds)
        verified = verify(bed, systems)
    return Run(samples, verified, where)
