"""bench/run host: fio's nbd engine on this machine, over TCP."""

from lib import control, cost, fio, machine, rounds
from lib.local import Bed
from lib.samples import Point, Run

TITLES = {
    "rswap-tcp": "rswap over TCP, plugin in nbdkit, encrypt=off",
    "rswap-sealed-tcp": "rswap over TCP, plugin in nbdkit, sealed pages",
    "rswap-nbd": "rswap over TCP, rswap-nbd, encrypt=off",
    "rswap-sealed-nbd": "rswap over TCP, rswap-nbd, sealed pages",
    "two-hop": "nbdkit nbd plugin -> TCP -> nbdkit memory",
    "memory-tcp": "nbdkit memory over TCP, one hop",
    "memory-unix": "nbdkit memory over a Unix socket: the floor",
}
ENCRYPT = {"rswap-tcp": "off", "rswap-sealed-tcp": "on",
           "rswap-nbd": "off", "rswap-sealed-nbd": "on"}
SIZE = "256M"
SERVER_MIB = 320  # for each of them: sealed pages need more than SIZE
SETUP_S = 15
STARTUP_S = 0.7  # of a fio


def grid(options):
    """(mode, block bytes, depth, connections)"""
    if options.smoke:
        return [("randread", 4096, 32, 1), ("mix", 4096, 4, 4)]
    modes = list(fio.MODES)
    if options.quick:
        return [(m, 4096, d, 1) for m in modes for d in (1, 32)]
    small = [(m, 4096, d, c) for c in (1, 4) for m in modes
             for d in (1, 4, 16, 32, 64)]
    large = [(m, b, d, 1) for b in (32768, 131072) for m in modes
             for d in (1, 16)]
    return small + large


def point_name(mode, block_bytes, depth, connections):
    return f"{mode} {fio.BLOCKS[block_bytes]} d{depth} c{connections} "


def points(options, targets, chosen, parts=lambda system: {}):
    """parts: the processes of a system, of which each one's CPU is told."""
    found = []
    for mode, block_bytes, depth, connections in chosen:
        def run(system, m=mode, b=block_bytes, d=depth, c=connections):
            return cost.of_fio(parts(system), targets[system], m, b, d, c,
                               SIZE, options.seconds)
        name = point_name(mode, block_bytes, depth, connections)
        if options.wants(name):
            found.append(Point(
                name.strip(),
                {"mode": mode, "block_bytes": block_bytes, "depth": depth,
                 "connections": connections},
                options.seconds + STARTUP_S, run))
    return found


def rswaps(systems):
    return [s for s in systems if s in ENCRYPT]


def start(bed, systems):
    """Starts what the systems need; how fio reaches each."""
    targets = {name: fio.nbd_target(bed.socket(name)) for name in TITLES}
    if rswaps(systems):
        memory = f"{SERVER_MIB * len(rswaps(systems))}M"
        bed.start_memserver("memserver", memory, "--transport=tcp")
    for system in rswaps(systems):
        server = f"127.0.0.1:{bed.port('memserver')}"
        keys = ("transport=tcp", f"encrypt={ENCRYPT[system]}")
        if system.endswith("nbd"):
            bed.start_rswap_nbd(system, [server], SIZE, *keys)
        else:
            bed.start_rswap(system, [server], SIZE, *keys)
    if "memory-unix" in systems:
        bed.start_nbdkit("memory-unix", "memory", SIZE)
    if "memory-tcp" in systems:
        port = bed.start_nbdkit_tcp("memory-tcp", "memory", SIZE)
        targets["memory-tcp"] = fio.nbd_tcp_target(port)
    if "two-hop" in systems:
        port = bed.start_nbdkit_tcp("second-hop", "memory", SIZE)
        bed.start_nbdkit("two-hop", "nbd", "hostname=127.0.0.1",
                         f"port={port}")
    return targets


def parts(bed, system):
    """What a request goes through on its way."""
    found = {"front": [bed.processes.find(system)]}
    if system in ENCRYPT:
        found["server"] = [bed.processes.find("memserver")]
    if system == "two-hop":
        found["server"] = [bed.processes.find("second-hop")]
    return found


def verify(bed, systems, targets, options):
    found = {}
    for system in rswaps(systems):
        fio.verify(system, targets[system],
                   "16M" if options.smoke else "128M")
        status = bed.status(system)
        control.check_errors(system, status, "tcp")
        found[system] = {"fio": "crc32c of random writes: all right",
                         "cipher": status["cipher"],
                         "errors": int(status["errors"]),
                         "retries": int(status["retries"])}
    return found


def measure(options):
    systems, where = rounds.choose(options, TITLES), machine.describe()
    with Bed(options.threads, options.keys) as bed:
        rounds.announce("host", points(options, dict.fromkeys(TITLES), grid(options)),
                        systems, options, SETUP_S)
        targets = start(bed, systems)
        verify(bed, systems, targets, options)
        for system in systems:
            fio.fill(targets[system], SIZE)
        planned = points(options, targets, grid(options),
                         lambda system: parts(bed, system))
        samples = rounds.measure(planned, systems, options.rounds)
        verified = verify(bed, systems, targets, options)
    return Run(samples, verified, where)
