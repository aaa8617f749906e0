"""bench/run copies: what it costs to keep pages on more than one server."""

from lib import control, fio, machine, rounds
from lib.host import SIZE, points
from lib.local import Bed
from lib.samples import Run

TITLES = {
    "one": "one copy",
    "two": "replicas=2",
    "four-two": "redundancy=4+2",
}
KEYS = {"one": [], "two": ["replicas=2"], "four-two": ["redundancy=4+2"]}
SERVERS = {"one": 1, "two": 2, "four-two": 6}
SETUP_S = 20


def grid(options):
    """(mode, block bytes, depth, connections)"""
    if options.smoke:
        return [("randread", 4096, 1, 1), ("randwrite", 4096, 32, 1)]
    return [(m, 4096, d, 1) for m in ("randread", "randwrite")
            for d in (1, 32)]


def start(bed, systems):
    """Six servers that all systems share; how fio reaches each system."""
    most = max(SERVERS[system] for system in systems)
    for i in range(most):
        bed.start_memserver(f"memserver{i}", "1G", "--transport=tcp")
    for system in systems:
        addresses = [f"127.0.0.1:{bed.port(f'memserver{i}')}"
                     for i in range(SERVERS[system])]
        bed.start_rswap(system, addresses, SIZE, "transport=tcp",
                        *KEYS[system])
    return {system: fio.nbd_target(bed.socket(system)) for system in systems}


def verify(bed, systems, targets, options):
    verified = {}
    for system in systems:
        fio.verify(system, targets[system],
                   "16M" if options.smoke else "64M")
        status = bed.status(system)
        control.check_errors(system, status, "tcp")
        verified[system] = {key: int(status[key])
                            for key in ("errors", "retries", "hedges",
                                        "wrong_reads")}
    return verified


def measure(options):
    systems, where = rounds.choose(options, TITLES), machine.describe()
    with Bed() as bed:
        rounds.announce("copies", points(options, dict.fromkeys(TITLES),
                                         grid(options)),
                        systems, options, SETUP_S)
        targets = start(bed, systems)
        verify(bed, systems, targets, options)
        for system in systems:
            fio.fill(targets[system], SIZE)
        samples = rounds.measure(points(options, targets, grid(options)),
                                 systems,
                                 options.rounds)
        verified = verify(bed, systems, targets, options)
    return Run(samples, verified, where)
