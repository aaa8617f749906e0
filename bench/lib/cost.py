"""CPU seconds per million pages, of every process that has a part in it."""

import os
import resource
import time

from lib import fio

PER = 1e6


def processors_s():
    """Of all processors: what they were busy for, and what of it was the
    kernel's: system calls of all programs, its own threads, interrupts."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _, _, irq, softirq, *_ = map(
            int, f.readline().split()[1:])
    kernel, tick = system + irq + softirq, os.sysconf("SC_CLK_TCK")
    return (user + nice + kernel) / tick, kernel / tick


def children_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Meter:
    """parts: processes by what they are called in the metrics.  Beside them:
    the program that asks for pages, all that the kernel does, and the whole
    machine."""

    def __init__(self, parts):
        self.parts = parts
        self.before = self.read()

    def read(self):
        found = {name: sum(p.cpu_s() for p in processes)
                 for name, processes in self.parts.items()}
        machine, kernel = processors_s()
        return {**found, "program": children_s(), "kernel": kernel,
                "machine": machine}

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


def pages_of(job, block_bytes=4096):
    requests = job["read"]["total_ios"] + job["write"]["total_ios"]
    return requests * block_bytes // 4096


def of_fio(parts, target, mode, block_bytes, *arguments):
    """As fio.measure, with what each part took."""
    meter = Meter(parts)
    job = fio.timed_job(target, mode, block_bytes, *arguments)
    outcome = fio.outcome(job)
    outcome.metrics.update(meter.per_million(pages_of(job, block_bytes)))
    return outcome


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
