"""The guests' own functions, and files of the kernel's."""

import subprocess
from pathlib import Path

from lib.errors import Failed, Rejected
from lib.paths import SRC
from lib.processes import run

LIB = SRC / "tests" / "vm" / "inside" / "lib.sh"


def call(*words):
    """A function of tests/vm/inside/lib.sh."""
    run(["bash", "-c", 'set -euo pipefail; . "$0"; "$@"', LIB, *words])


def write(path, text):
    try:
        with open(path, "w", encoding="ascii") as f:
            f.write(f"{text}\n")
    except OSError as error:
        raise Failed(f"{path}: {text}: {error.strerror}")


def require_clean_kernel_log():
    """A task that hung or a page that was lost voids the figures."""
    done = subprocess.run(
        ["bash", "-c", 'set -euo pipefail; . "$0"; kernel_log_clean', str(LIB)],
        capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stdout.splitlines()
                if not line.startswith("warning:")]
        raise Rejected("the kernel's log tells of trouble: "
                       + (said[0] if said else done.stderr.strip()))


class Cgroup:
    """Processes in it have so much memory, and swap."""
    ROOT = Path("/sys/fs/cgroup")

    def __init__(self, name):
        self.dir = self.ROOT / name
        write(self.ROOT / "cgroup.subtree_control", "+memory")
        self.dir.mkdir(exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.dir.rmdir()

    def limit(self, limit_bytes):
        """A lower limit than what is in use: memory.high first, which swaps
        out at leisure where memory.max might kill."""
        write(self.dir / "memory.high", limit_bytes)
        write(self.dir / "memory.max", limit_bytes)
        write(self.dir / "memory.high", "max")

    def used_bytes(self):
        return int((self.dir / "memory.current").read_text())

    def peak_bytes(self):
        return int((self.dir / "memory.peak").read_text())

    def command(self, *command):
        """The same command, in the cgroup from its beginning."""
        return ["bash", "-c", 'echo $$ >"$0" && exec "$@"',
                str(self.dir / "cgroup.procs"), *map(str, command)]
