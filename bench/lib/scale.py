"""bench/run scale: many sessions on one memory server, many servers of one
plugin, large devices, programs that have shrunk; over TCP on this machine.  Each
measurement starts what it needs and ends it."""

import statistics
import subprocess
import time

from lib import control, cost, fio, machine, rounds
from lib.errors import Failed
from lib.local import Bed
from lib.paths import SWAPSLOTS
from lib.samples import Outcome, Point

TITLES = {"rswap-tcp": "rswap over TCP"}
SYSTEM = "rswap-tcp"
MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
AREA = 64 * MIB      # what fio uses of a device
LANES = 16
SESSION_AREA = 8 * MIB
SESSION_LANES = 2
SHRINK_MIB = 400
SETTLE_S = 6         # longer than an empty slab is kept
SESSION_MEMORY = 64 * MIB  # what a plugin may take at most, with its pages


def size_name(size_bytes):
    for unit, name in ((TIB, "TiB"), (GIB, "GiB")):
        if size_bytes >= unit:
            return f"{size_bytes // unit} {name}"
    return f"{size_bytes // MIB} MiB"


def start_plugin(bed, name, servers, size_bytes, lanes):
    """Seconds until it serves, and the process."""
    start = time.monotonic()
    plugin = bed.start_rswap(
        name, [f"127.0.0.1:{bed.port(s)}" for s in servers], str(size_bytes),
        f"lanes={lanes}", "transport=tcp", threads=2 * lanes)
    return time.monotonic() - start, plugin


def memory_of(bed, name, size_bytes):
    status = bed.status(name)
    locked = int(status["locked_bytes"])
    lanes = int(status["lanes"]) * int(status["lane_bytes"])
    beyond = max(locked - lanes, 0)
    return {"locked_bytes": locked, "beyond_lanes_bytes": beyond,
            "beyond_lanes_percent": 100 * beyond / size_bytes}


def verify(bed, name):
    fio.verify(name, fio.nbd_target(bed.socket(name)), SESSION_AREA)
    control.check_errors(name, bed.status(name), "tcp")


def load(bed, name, seconds, parts):
    """Reads and writes, and what they cost."""
    target = fio.nbd_target(bed.socket(name))
    fio.fill(target, AREA)
    return cost.measure(target, "mix", 32, AREA, seconds, parts)[0]


# --- what is measured ---

def large(size_bytes, seconds):
    """One plugin, one server, a device of that size."""
    with Bed() as bed:
        # sealed pages are 0.4 % longer
        memory = size_bytes + size_bytes // 128 + GIB
        server = bed.start_memserver("server", str(memory),
                                     "--transport=tcp")
        start_s, plugin = start_plugin(bed, SYSTEM, ["server"], size_bytes,
                                       LANES)
        found = {"start_s": start_s, **memory_of(bed, SYSTEM, size_bytes),
                 **load(bed, SYSTEM, seconds, {"plugin": [plugin],
                                               "server": [server]})}
        verify(bed, SYSTEM)
    return Outcome(found)


def servers(number, seconds):
    """One plugin with that many servers; each has a part of the slabs."""
    names = [f"server-{n}" for n in range(number)]
    with Bed() as bed:
        running = [bed.start_memserver(n, "256M", "--transport=tcp",
                                       "--slab-size=1M") for n in names]
        start_s, plugin = start_plugin(bed, SYSTEM, names, 2 * AREA, LANES)
        found = {"start_s": start_s, **memory_of(bed, SYSTEM, 2 * AREA),
                 **load(bed, SYSTEM, seconds, {"plugin": [plugin],
                                               "server": running})}
        verify(bed, SYSTEM)
    return Outcome(found)


def fio_of_all(bed, names, arguments):
    """A job on each, all at once, reported as one."""
    command = ["--ioengine=nbd", f"--size={SESSION_AREA}", "--group_reporting",
               *arguments]
    for name in names:
        command += [f"--name={name}",
                    f"--uri=nbd+unix:///?socket={bed.socket(name)}"]
    return fio.run(command)["jobs"][0]


def sessions(number, seconds):
    """That many plugins with one server."""
    names = [f"{SYSTEM}-{n}" for n in range(number)]
    with Bed() as bed:
        server = bed.start_memserver(
            "server", str(number * 2 * SESSION_AREA + 64 * MIB),
            "--transport=tcp", "--slab-size=1M")
        started = [start_plugin(bed, name, ["server"], SESSION_AREA,
                                SESSION_LANES) for name in names]
        fio_of_all(bed, names, ["--rw=write", "--bs=1M"])
        meter = cost.Meter({"plugin": [p for _, p in started],
                            "server": [server]})
        job = fio_of_all(bed, names, [
            *fio.MODES["mix"], "--bs=4k", "--iodepth=2", "--time_based",
            f"--runtime={seconds}"])
        found = {"start_s": statistics.median(s for s, _ in started),
                 "iops": job["read"]["iops"] + job["write"]["iops"],
                 **meter.per_million(cost.pages_of(job)),
                 "server_rss_bytes": server.status_kib("VmRSS") * 1024,
                 **memory_of(bed, names[0], SESSION_AREA)}
        del found["beyond_lanes_percent"]  # of so small a size it says nothing
        verify(bed, names[-1])
        for name in names:
            control.check_errors(name, bed.status(name), "tcp")
    return Outcome(found)


def settled(bed, name):
    """Its status, when slabs that are empty have been given back."""
    before, since = None, time.monotonic()
    while time.monotonic() - since < SETTLE_S:
        status = bed.status(name)
        now = (status["taken_bytes"], status["present_bytes"])
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.2)
    return status


def shrunk(pattern, slab_size):
    """What is taken for a tenth of SHRINK_MIB, with slots as the kernel hands
    them out."""
    with Bed() as bed:
        bed.start_memserver("server", "5G", "--transport=tcp",
                            *([f"--slab-size={slab_size}"]
                              if slab_size else []))
        start_plugin(bed, SYSTEM, ["server"], 4 * GIB, LANES)
        run = subprocess.run(
            [SWAPSLOTS, f"--fill={SHRINK_MIB}", f"--pattern={pattern}",
             f"nbd+unix:///?socket={bed.socket(SYSTEM)}"],
            capture_output=True, text=True)
        if run.returncode:
            raise Failed(f"swapslots: {run.stderr.strip()}")
        used = int(run.stdout.split()[1]) * 4096
        status = settled(bed, SYSTEM)
        control.check_errors(SYSTEM, status, "tcp")
    taken, present = (int(status[k]) for k in ("taken_bytes",
                                               "present_bytes"))
    return Outcome({"taken_bytes": taken, "present_bytes": present,
                    "used_bytes": used, "taken_over_present": taken / present,
                    "taken_over_used": taken / used})


# --- the points ---

def grid(options):
    """Sizes, numbers of servers, numbers of sessions."""
    if options.smoke:
        return [GIB, TIB], [1, 2], [1, 8]
    if options.quick:
        return [GIB, TIB], [1, 8], [1, 16, 64]
    return ([GIB, 16 * GIB, 256 * GIB, TIB, 4 * TIB], [1, 2, 4, 8],
            [1, 4, 16, 64, 256])


def shrinks(options):
    """Patterns, and sizes of slabs.  Each point waits for SETTLE_S and more."""
    if options.smoke:
        return ["programs"], [None]
    patterns = ["tail", "programs", "chunk:4"]
    if options.quick:
        return patterns, [None]
    return patterns, [None, "1M", "4M", "8M", "64M"]


def fits(number, memory_bytes):
    """The plugins lock their memory, so all of it has to be there."""
    if number * SESSION_MEMORY <= memory_bytes:
        return True
    rounds.say(f"scale: {number} sessions are left out: they may take "
               f"{size_name(number * SESSION_MEMORY)}, and there are "
               f"{size_name(memory_bytes)}")
    return False


def points(options):
    sizes, numbers, crowds = grid(options)
    patterns, slabs = shrinks(options)
    crowds = [n for n in crowds if fits(n, machine.available_bytes())]
    seconds = options.seconds
    found = [Point(f"size {size_name(s)}", {"size_bytes": s}, seconds + 3,
                   lambda _, s=s: large(s, seconds)) for s in sizes]
    found += [Point(f"{n} servers", {"servers": n}, seconds + 3 + n / 10,
                    lambda _, n=n: servers(n, seconds)) for n in numbers]
    found += [Point(f"{n} sessions", {"sessions": n}, seconds + 3 + n / 4,
                    lambda _, n=n: sessions(n, seconds)) for n in crowds]
    found += [Point(f"shrunk {pattern} slab {slab or 'default'}",
                    {"pattern": pattern, "slab": slab or "default"},
                    SETTLE_S + 6,
                    lambda _, p=pattern, s=slab: shrunk(p, s))
              for pattern in patterns for slab in slabs]
    return [p for p in found if options.wants(p.name)]


def measure(options):
    return rounds.measure_alone("scale", TITLES, points(options), options,
                                {"fio": "crc32c of random writes: all right",
                                 "errors": 0})
