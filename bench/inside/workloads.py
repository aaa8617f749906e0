"""Programs that swap: pagecheck, redis under redis-benchmark, sort.  Each knows
whether what it read back is what it wrote."""

import hashlib
import json
import os
import random
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from inside.shell import Cgroup
from lib.errors import Failed, Rejected
from lib.paths import PAGECHECK
from lib.processes import Process, accepts, run
from lib.samples import Outcome

TMP = Path("/run/tmp")
FAULTS = {"10": "p10", "25": "p25", "50": "p50", "75": "p75", "90": "p90",
          "95": "p95", "99": "p99", "99.9": "p999"}


@contextmanager
def swap_on(device):
    run(["mkswap", device])
    run(["swapon", "--discard=pages", device])
    try:
        yield
    finally:
        run(["swapoff", device])


# --- pagecheck ---

def pagecheck(system, size_bytes, percent, *options):
    with Cgroup("pages") as group:
        group.limit(size_bytes * percent // 100)
        done = subprocess.run(
            group.command(PAGECHECK, f"--size={size_bytes}",
                          "--write-percent=0", *options),
            capture_output=True, text=True, check=False)
    found = dict(line.partition("=")[::2]
                 for line in done.stdout.splitlines())
    if done.returncode or found.get("mismatches") != "0":
        raise Rejected(f"{system}: pagecheck: "
                       f"{(done.stderr.strip() or 'ended').splitlines()[0]}")
    return {key: float(value) for key, value in found.items()}


def faults(found):
    """What the program waited for, in percentiles."""
    return {p: found[f"fault_{key}_us"] for p, key in FAULTS.items()}


def pages_metrics(found):
    swapped = found["pswpout"] + found["pswpin"]
    return {
        "random_touches_per_s": found["random_touches_per_s"],
        "swap_pages_per_s": swapped / max(found["seconds"], 0.1),
        "fault_p50_us": found["fault_p50_us"],
        "fault_p99_us": found["fault_p99_us"],
        "fault_p99.9_us": found["fault_p999_us"]}


def pages(system, size_bytes, percent, touches):
    """(a): fill, read in order, random touches."""
    found = pagecheck(system, size_bytes, percent, f"--random={touches}")
    return Outcome({"fill_pages_per_s": found["fill_pages_per_s"],
                    "read_pages_per_s": found["read_pages_per_s"],
                    **pages_metrics(found)}, faults(found))


def zipf(system, size_bytes, percent, touches):
    """(b)"""
    found = pagecheck(system, size_bytes, percent, f"--random={touches}",
                      "--passes=0", "--zipf=0.99")
    return Outcome(pages_metrics(found), faults(found))


# --- redis ---

VALUE_BYTES = 4000


def value(rng):
    """Half of it can be compressed, as of many things."""
    return rng.randbytes(VALUE_BYTES // 4).hex() + "x" * (VALUE_BYTES // 2)


def command(*words):
    """In redis' protocol."""
    text = f"*{len(words)}\r\n"
    return text + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)


def redis_data(size_bytes):
    """Commands that fill redis, once for all runs.  The keys are those that
    redis-benchmark asks for."""
    path, keys = TMP / f"redis-{size_bytes}", size_bytes // VALUE_BYTES
    if not path.exists():
        rng = random.Random(1)
        with open(path, "w", encoding="ascii", newline="") as f:
            for key in range(keys):
                f.write(command("SET", f"key:{key:012}", value(rng)))
    return path, keys


@contextmanager
def redis_server(group):
    """redis-tools has the server, by the name of redis-check-rdb: it looks at
    the name that it is called by."""
    socket = TMP / "redis.sock"
    server = Process("redis-server", group.command(
        "bash", "-c", "exec -a redis-server redis-check-rdb "
        f"--port 0 --unixsocket {socket} --save '' --appendonly no "
        "--enable-debug-command yes"), TMP / "redis.log")
    try:
        server.await_ready(lambda: accepts(socket))
        yield socket
    finally:
        server.stop()


def redis_digest(socket):
    return run(["redis-cli", "-s", socket, "DEBUG", "DIGEST"]).strip()


def redis_load(socket, path):
    with open(path, "rb") as f:
        done = subprocess.run(["redis-cli", "-s", str(socket), "--pipe"],
                              stdin=f, capture_output=True, text=True,
                              check=False)
    if done.returncode or "errors: 0" not in done.stdout:
        raise Failed(f"redis-cli --pipe: {done.stdout.strip()}")


def redis_get(socket, keys, requests):
    """redis-benchmark's line of figures, by its own header."""
    header, line = [
        [cell.strip('"') for cell in row.split(",")] for row in
        run(["redis-benchmark", "-s", socket, "-t", "get", "-r", keys,
             "-n", requests, "-c", 8, "--csv"]).strip().splitlines()[-2:]]
    found = dict(zip(header, line))
    return {"requests_per_s": float(found["rps"]),
            "request_p50_us": float(found["p50_latency_ms"]) * 1000,
            "request_p99_us": float(found["p99_latency_ms"]) * 1000}


def redis(system, size_bytes, percent, requests, check):
    """(c): its working set is what it has in memory when it is full."""
    path, keys = redis_data(size_bytes)
    with Cgroup("redis") as group, redis_server(group) as socket:
        redis_load(socket, path)
        before = redis_digest(socket) if check else None
        group.limit(group.used_bytes() * percent // 100)
        metrics = redis_get(socket, keys, requests)
        if check and redis_digest(socket) != before:
            raise Rejected(f"{system}: redis has other data than before")
    return Outcome(metrics)


# --- sort ---

def sort_data(size_bytes):
    path = TMP / f"sort-{size_bytes}"
    if not path.exists():
        rng = random.Random(2)
        with open(path, "w", encoding="ascii") as f:
            for _ in range(size_bytes // 64):
                f.write(rng.randbytes(24).hex() + " fifteen bytes.\n")
    return path


def run_sort(group, path):
    """Seconds, and the checksum of what it gave.  All in memory: -S."""
    start = time.monotonic()
    with subprocess.Popen(
            group.command("sort", "--parallel=1", "-S",
                          str(8 * path.stat().st_size), path),
            stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"}) as child:
        checksum = hashlib.file_digest(child.stdout, "md5").hexdigest()
    if child.returncode:
        raise Failed(f"sort ended with status {child.returncode}")
    return time.monotonic() - start, checksum


def sort_reference(path):
    """Without a limit: its working set, and what it has to give."""
    kept = path.with_suffix(".reference")
    if not kept.exists():
        with Cgroup("sort-free") as group:
            _, checksum = run_sort(group, path)
            kept.write_text(json.dumps([group.peak_bytes(), checksum]))
    return json.loads(kept.read_text())


def sort(system, size_bytes, percent):
    """(c)"""
    path = sort_data(size_bytes)
    peak_bytes, wanted = sort_reference(path)
    with Cgroup("sort") as group:
        group.limit(peak_bytes * percent // 100)
        seconds, checksum = run_sort(group, path)
    if checksum != wanted:
        raise Rejected(f"{system}: sort gave something else")
    return Outcome({"sort_s": seconds})
