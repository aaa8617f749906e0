"""Programs that swap: pagecheck, redis under redis-benchmark, sqlite.  Each knows
whether what it read back is what it wrote."""

import hashlib
import random
import subprocess
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from inside.shell import Cgroup
from lib import cost
from lib.errors import Failed, Rejected
from lib.paths import PAGECHECK
from lib.processes import Process, accepts, await_true, run
from lib.samples import Outcome

TMP = Path("/run/tmp")
PAGES_MIN = 1000  # below this a cost per page says nothing
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


def counted(*names):
    """The kernel's counters since the guest was booted."""
    found = dict(line.split() for line in
                 Path("/proc/vmstat").read_text().splitlines())
    return [int(found[name]) for name in names]


def swapped_pages():
    return sum(counted("pswpin", "pswpout"))


def reclaimed_pages():
    """By programs that waited for it, and by kswapd."""
    return counted("pgsteal_direct", "pgsteal_kswapd")


def direct_share(before):
    """How much of the reclaim since then was done by programs."""
    direct, kswapd = (pages - earlier for pages, earlier in
                      zip(reclaimed_pages(), before))
    if direct + kswapd < PAGES_MIN:
        return {}
    return {"direct_reclaim_percent": 100 * direct / (direct + kswapd)}


def metered(parts, work):
    """What work() gives, and what each part took for a page.  A program that
    hardly swaps pays for nothing but itself."""
    meter, before = cost.Meter(parts), swapped_pages()
    outcome = work()
    pages = swapped_pages() - before
    if pages >= PAGES_MIN:
        outcome.metrics.update(meter.per_million(pages))
    return outcome


# --- pagecheck ---

def pagecheck(system, size_bytes, percent, *options):
    with Cgroup("pages") as group:
        if percent:  # else what the machine has is the limit
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


def pages(system, size_bytes, percent, touches, passes=1):
    """(a): fill, read in order, random touches."""
    found = pagecheck(system, size_bytes, percent, f"--random={touches}",
                      f"--passes={passes}")
    metrics = {"fill_pages_per_s": found["fill_pages_per_s"]}
    if passes:
        metrics["read_pages_per_s"] = found["read_pages_per_s"]
    return Outcome({**metrics, **pages_metrics(found)}, faults(found))


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


# --- sqlite ---

BODY_BYTES = 300
ROW_BYTES = 360  # with all that sqlite adds


@cache
def sqlite_data(size_bytes, queries):
    """Two scripts for sqlite3, which fills a table and which asks for rows of
    it, and the checksum of the answer."""
    load, ask = TMP / f"load-{size_bytes}.sql", TMP / f"ask-{size_bytes}.sql"
    rng = random.Random(2)
    rows = [(rng.randbytes(8).hex(), rng.randbytes(BODY_BYTES // 2).hex())
            for _ in range(size_bytes // ROW_BYTES)]
    chosen = [rng.choice(rows) for _ in range(queries)]
    with open(load, "w", encoding="ascii") as f:
        f.write("CREATE TABLE t (name TEXT, body TEXT);\nBEGIN;\n")
        for name, body in rows:
            f.write(f"INSERT INTO t VALUES ('{name}', '{body}');\n")
        f.write("COMMIT;\nCREATE INDEX by_name ON t (name);\n")
    with open(ask, "w", encoding="ascii") as f:
        for name, _ in chosen:
            f.write(f"SELECT body FROM t WHERE name = '{name}';\n")
    answer = "".join(body + "\n" for _, body in chosen).encode()
    return load, ask, hashlib.md5(answer).hexdigest()


class Sqlite:
    """sqlite3 with a database in memory.  A file that it opens for output is
    the sign that it has done all before; the one before is complete then."""

    def __init__(self, group):
        self.child = subprocess.Popen(
            group.command("sqlite3", "-batch", ":memory:"),
            stdin=subprocess.PIPE, text=True)
        self.outputs = 0

    def output(self, number):
        return TMP / f"sqlite.{self.child.pid}.{number}"

    def read(self, script):
        """Runs a script, waits for its end; its output is a file."""
        this, after = self.output(self.outputs), self.output(self.outputs + 1)
        self.outputs += 1
        self.child.stdin.write(f".output {this}\n.read {script}\n"
                               f".output {after}\n")
        self.child.stdin.flush()
        await_true(3600,
                   lambda: after.exists() or self.child.poll() is not None,
                   f"sqlite3 does not finish {script.name}")
        if self.child.poll() is not None:
            raise Failed(f"sqlite3 ended with status {self.child.returncode}")
        return this

    def end(self):
        """At once: at an orderly end it would touch all that it has."""
        self.child.kill()
        self.child.wait()
        self.child.stdin.close()
        for number in range(self.outputs + 1):
            self.output(number).unlink(missing_ok=True)


def sqlite(system, size_bytes, percent, queries):
    """(c)"""
    load, ask, wanted = sqlite_data(size_bytes, queries)
    with Cgroup("sqlite") as group:
        program = Sqlite(group)
        try:
            program.read(load)
            group.limit(group.used_bytes() * percent // 100)
            start = time.monotonic()
            answer = program.read(ask)
            seconds = time.monotonic() - start
            checksum = hashlib.md5(answer.read_bytes()).hexdigest()
        finally:
            program.end()
    if checksum != wanted:
        raise Rejected(f"{system}: sqlite gave something else")
    return Outcome({"queries_per_s": queries / seconds})
