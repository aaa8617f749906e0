"""bench/run faults: what a client notices while a server is paused, killed and
repaired; over TCP on this machine.  Each measurement starts what it needs and
ends it."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lib import control, fio, rounds
from lib.errors import Rejected
from lib.local import Bed
from lib.processes import await_true
from lib.samples import Outcome, Point

TITLES = {"rswap-tcp": "rswap over TCP"}
SYSTEM = "rswap-tcp"
MIB = 1 << 20
DEPTH = 4       # a few requests at any time, two thirds of them reads
PAUSE_S = 5
BEFORE_FAULT_S = 1


@dataclass
class Scale:
    """Each of three servers has two thirds of the device with replicas=2."""
    device_bytes: int = 1536 * MIB
    pause_s: int = PAUSE_S


SMOKE = Scale(96 * MIB, 1)


class Load:
    """fio in the background: reads and writes, at random."""

    def __init__(self, target, size_bytes, seconds):
        self.pool = ThreadPoolExecutor(1)
        self.job = self.pool.submit(fio.timed_job, target, "mix", 4096, DEPTH,
                                    1, size_bytes, seconds)

    def result(self):
        """fio fails where a request does, and then so does this."""
        try:
            return self.job.result()
        finally:
            self.pool.shutdown()


def p99_us(job):
    return fio.latency_us(job)["99"]


def longest_us(job):
    return job["read"]["lat_ns"]["max"] / 1000


def start(bed, size, servers, *keys):
    """The device, filled; how fio reaches it."""
    memory = str(size.device_bytes + 256 * MIB)
    for name in servers:
        bed.start_memserver(name, memory, "--transport=tcp")
    bed.start_rswap(SYSTEM, [f"127.0.0.1:{bed.port(s)}" for s in servers],
                    str(size.device_bytes), "transport=tcp", *keys)
    target = fio.nbd_target(bed.socket(SYSTEM))
    fio.fill(target, size.device_bytes)
    return target


def figure(bed, key):
    return int(bed.status(SYSTEM)[key])


def check(bed, target, size):
    """Nothing may have failed, or be wrong."""
    fio.verify(SYSTEM, target, size.device_bytes // 8)
    status = bed.status(SYSTEM)
    control.check_errors(SYSTEM, status, "tcp")
    if int(status["wrong_reads"]):
        raise Rejected(f"{SYSTEM}: {status['wrong_reads']} wrong reads")


# --- what is measured ---

def pause(size, seconds):
    """The only server stops for a while, and goes on."""
    with Bed() as bed:
        target = start(bed, size, ["server"])
        server = bed.processes.find("server")
        load = Load(target, size.device_bytes, size.pause_s + seconds)
        time.sleep(BEFORE_FAULT_S)
        server.child.send_signal(signal.SIGSTOP)
        time.sleep(size.pause_s)
        server.child.send_signal(signal.SIGCONT)
        job = load.result()
        check(bed, target, size)
        return Outcome({"longest_us": longest_us(job),
                        "pause_s": size.pause_s, "failed": 0,
                        "retries": figure(bed, "retries")},
                       fio.latency_us(job))


def kill(size, seconds):
    """One of three servers with two copies of everything ends, and stays so
    for as long as its slabs are waited for."""
    with Bed() as bed:
        target = start(bed, size, ["server-1", "server-2", "server-3"],
                       "replicas=2")
        before = Load(target, size.device_bytes, seconds).result()
        load = Load(target, size.device_bytes, seconds + BEFORE_FAULT_S)
        time.sleep(BEFORE_FAULT_S)
        bed.processes.kill(bed.processes.find("server-3"))
        job = load.result()
        check(bed, target, size)
        limit_us = 50000 + 2 * p99_us(before)
        return Outcome({"longest_us": longest_us(job),
                        "limit_us": limit_us,
                        "limit_ratio": longest_us(job) / limit_us,
                        "longest_before_us": longest_us(before),
                        "p99_us": p99_us(job),
                        "p99_before_us": p99_us(before)},
                       fio.latency_us(job))


def repair(size, seconds):
    """One of three servers is started anew, with nothing in it."""
    with Bed() as bed:
        target = start(bed, size, ["server-1", "server-2", "server-3"],
                       "replicas=2")
        before = Load(target, size.device_bytes, seconds).result()
        server, port = bed.processes.find("server-3"), bed.port("server-3")
        bed.processes.kill(server)
        bed.path("server-3.port").unlink()
        bed.start_memserver("server-3", str(size.device_bytes + 256 * MIB),
                            "--transport=tcp", port=port)
        await_true(60, lambda: figure(bed, "slabs_short"),
                   "no slab lacks a copy")
        began, copied = time.monotonic(), figure(bed, "pages_copied")
        p99s = []
        while figure(bed, "slabs_short"):
            p99s.append(p99_us(Load(target, size.device_bytes, 1).result()))
        took_s = time.monotonic() - began
        copied = (figure(bed, "pages_copied") - copied) * 4096
        check(bed, target, size)
        during_us = sorted(p99s)[len(p99s) // 2]
        return Outcome({"p99_ratio": during_us / p99_us(before),
                        "p99_us": during_us, "p99_before_us": p99_us(before),
                        "repaired_bytes": copied, "repair_s": took_s,
                        "repaired_mib_per_s": copied / MIB / took_s})


# --- the points ---

def points(options):
    size, seconds = SMOKE if options.smoke else Scale(), options.seconds
    kinds = {"one server, paused": pause, "two copies, one killed": kill,
             "two copies, repair": repair}
    found = [Point(name, {"fault": name}, 2 * seconds + 15,
                   lambda _, run=run: run(size, seconds))
             for name, run in kinds.items()]
    return [p for p in found if options.wants(p.name)]


def measure(options):
    return rounds.measure_alone("faults", TITLES, points(options), options,
                                {"fio": "crc32c of random writes: all right",
                                 "errors": 0, "wrong_reads": 0})
