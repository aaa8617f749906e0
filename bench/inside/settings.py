"""Settings of the kernel that are changed for one measurement."""

from contextlib import contextmanager
from pathlib import Path

from inside.shell import write
from lib.processes import run

VM = Path("/proc/sys/vm")
RECORD = Path("/run/rswap/.settings")  # PATH OLD NEW


def read(path):
    """Of a list ("[none] mq-deadline") the one that is chosen."""
    text = Path(path).read_text(encoding="ascii").strip()
    return text.partition("[")[2].partition("]")[0] or text


def before_attach(name):
    """What rswapctl will put back, or what is there if it changed nothing."""
    record = RECORD.read_text(encoding="ascii") if RECORD.exists() else ""
    for line in record.splitlines():
        path, old, _ = line.split()
        if path == str(VM / name):
            return old
    return read(VM / name)


@contextmanager
def changed(path, value):
    before = read(path)
    write(path, value)
    try:
        yield
    finally:
        write(path, before)


@contextmanager
def as_it_is():
    yield


def sysctl(name, value):
    return changed(VM / name, value)


def queue(device, name, value):
    if name == "scheduler":
        run(["modprobe", "-q", value])
    return changed(Path("/sys/block") / Path(device).name / "queue" / name,
                   value)
