"""Where it was measured: figures of different machines are not compared."""

import os
import platform
import subprocess


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def memory_bytes():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available_bytes():
    with open("/proc/meminfo", encoding="ascii") as f:
        for line in f:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return memory_bytes()


def version(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True,
                              check=False)
    except OSError:
        return "not installed"
    return (done.stdout or done.stderr).strip().splitlines()[0]


def describe(where="On the machine itself"):
    return {"where": where, "kernel": platform.release(), "cpu": cpu_model(),
            "cpus": os.cpu_count(), "memory_bytes": memory_bytes(),
            "load_before": os.getloadavg()[0],
            "fio": version("fio", "--version"),
            "nbdkit": version("nbdkit", "--version")}
