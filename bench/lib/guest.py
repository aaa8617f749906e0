"""A suite that runs in a guest of tests/vm: the guest measures and leaves its
samples in a directory that both see, the host reports."""

import json
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from lib import machine
from lib.errors import Failed, Rejected
from lib.head import PROCESSORS
from lib.local import Bed
from lib.paths import SRC
from lib.samples import Run, Samples

SHARE = Path("/share")  # in the guest
# A guest of a machine that is busy with other things is late, not stuck.
PROGRESS_S = 600
# Of the guest that swaps.  In tuning it is itself what has too little.
COMPUTE_MIB = {"vm": 1536, "tuning": 256}


def words(options, role):
    """The same command line, for the guest."""
    found = ["bench/run", options.suite, f"--inside={role}",
             f"--rounds={options.rounds}", f"--seconds={options.seconds}"]
    for name in ("quick", "smoke", "two_guests"):
        if getattr(options, name):
            found.append("--" + name.replace("_", "-"))
    if options.systems:
        found.append("--systems=" + ",".join(options.systems))
    if options.threads:
        found.append(f"--threads={options.threads}")
    if options.keys:
        found.append("--keys=" + ",".join(options.keys))
    if options.kernel:
        found.append(f"--kernel={options.kernel}")
    if options.only:
        found.append(f"--only={options.only}")
    return found


def command(options, share, timeout_s):
    same = [f"--name=bench-{options.suite}", f"--kernel={options.kernel}",
            f"--share={share}", f"--limit={timeout_s}",
            f"--timeout={PROGRESS_S}"]
    if options.cpu:
        same.append(f"--cpu={PROCESSORS[options.cpu][0]}")
    if not options.two_guests:
        return [SRC / "tests/vm/guest", "--memory=4096", *same, "--",
                *words(options, "both")]
    return [SRC / "tests/vm/pair", *same,
            f"--compute-memory={COMPUTE_MIB[options.suite]}",
            "--server=" + shlex.join(words(options, "server")),
            "--compute=" + shlex.join(words(options, "compute"))]


def measure(options, timeout_s):
    """The Run that the guest had."""
    with tempfile.TemporaryDirectory(prefix="rswap-bench.") as share:
        done = subprocess.run(
            [str(c) for c in command(options, share, timeout_s)],
            stdout=sys.stderr, stdin=subprocess.DEVNULL, check=False)
        return result_of(Path(share), done.returncode)


def result_of(share, status):
    """What a guest that ended with that status left in the directory."""
    rejected, samples = share / "rejected", share / "samples.json"
    if rejected.exists():
        raise Rejected(rejected.read_text().strip())
    if status or not samples.exists():
        raise Failed(f"the guest ended with status {status}")
    found = json.loads(samples.read_text())
    return Run(Samples.load(found["samples"]), found["verified"],
               found["machine"])


def serve(start):
    """In the guest that has memory, until pair ends it by a signal."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Bed() as bed:
        start(bed)
        (SHARE / "server.ready").touch()
        while True:
            signal.pause()


def inside(work):
    """Runs work() in the guest and leaves for the host what came of it."""
    where = machine.describe("In a virtual machine")
    try:
        samples, verified = work()
    except Rejected as error:
        (SHARE / "rejected").write_text(str(error))
        raise
    (SHARE / "samples.json").write_text(
        json.dumps({"samples": samples.dump(), "verified": verified,
                    "machine": where}))
