"""CPU seconds per million pages, of every process that has a part in it."""

import os
import resource
import time

from lib import fio

PER = 1e6


def machine_busy_s():
    """Of all processors, the kernel's interrupts with it."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _, _, irq, softirq, *_ = map(
            int, f.readline().split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def children_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """parts: processes by what they are called in the metrics."""

    def __init__(self, parts):
        self.parts = parts
        self.before = self.read()

    def read(self):
        found = {name: sum(p.cpu_s() for p in processes)
                 for name, processes in self.parts.items()}
        return {**found, "fio": children_s(), "machine": machine_busy_s()}

    def per_million(self, pages):
        now = self.read()
        return {f"{name}_cpu_s_per_million":
                (now[name] - self.before[name]) * PER / max(pages, 1)
                for name in now}


def idle_s(process, seconds):
    """What it takes while nobody asks for a page."""
    before = process.cpu_s()
    time.sleep(seconds)
    return process.cpu_s() - before


def pages_of(job):
    return (job["read"]["total_ios"] + job["write"]["total_ios"])


def measure(target, mode, depth, size, seconds, parts):
    """Pages a second, and what each part took for them."""
    meter = Meter(parts)
    result = fio.run(["--name=cost", *target, *fio.MODES[mode], "--bs=4k",
                      f"--size={size}", f"--iodepth={depth}", "--time_based",
                      "--group_reporting", f"--runtime={seconds}"])
    job = result["jobs"][0]
    pages = pages_of(job)
    return {"iops": job["read"]["iops"] + job["write"]["iops"],
            **meter.per_million(pages)}, pages
