"""A suite that runs in a guest of tests/vm: the guest measures and leaves its
samples in a directory that both see, the host reports."""

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from lib import machine
from lib.errors import Failed, Rejected
from lib.paths import SRC
from lib.samples import Run, Samples

SHARE = Path("/share")  # in the guest


def words(options, role):
    """The same command line, for the guest."""
    found = ["bench/run", options.suite, f"--inside={role}",
             f"--rounds={options.rounds}", f"--seconds={options.seconds}"]
    for name in ("quick", "smoke", "two_guests"):
        if getattr(options, name):
            found.append("--" + name.replace("_", "-"))
    if options.systems:
        found.append("--systems=" + ",".join(options.systems))
    if options.only:
        found.append(f"--only={options.only}")
    return found


def command(options, share, timeout_s):
    name = f"bench-{options.suite}"
    if not options.two_guests:
        return [SRC / "tests/vm/guest", "--memory=3072", f"--name={name}",
                f"--share={share}", f"--limit={timeout_s}", "--",
                *words(options, "both")]
    return [SRC / "tests/vm/pair", f"--name={name}", f"--share={share}",
            f"--limit={timeout_s}", "--compute-memory=1536",
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
