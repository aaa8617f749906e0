"""The command line.  What is wrong is told in one line."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from lib.paths import SRC

SUITES = ("host", "vm", "raw", "scale", "copies", "faults", "strangers")

USAGE = """\
usage: bench/run SUITE [OPTION]...

Measures rswap beside what a user would pick instead, the systems in turn.

  host     fio on this machine, over TCP
  vm       in a virtual machine, over soft-RoCE: fio on the block device, and
           swapping: page faults, redis, sqlite
  raw      in a virtual machine: one request beside ib_read_lat, CPU seconds
           per page, reads while writes are in flight
  scale    many sessions, many servers, large devices, on this machine
  copies   one copy, two, and 4+2 shares, on this machine
  faults   servers that are paused, killed and repaired, on this machine
  strangers
           reads beside 10,000 silent connections, and beside 1,000 handshakes
           at once, on this machine

  --rounds=N        how often everything is measured, 1 to 100 (default 3)
  --seconds=S       duration of one fio measurement, 1 to 600 (default 3)
  --quick           fewer points of each kind
  --smoke           as few and as short as can be: does it run at all?
  --out=DIR         where results.json, results.md and the plots go
                    (default build-bench/SUITE)
  --systems=A,B...  only these
  --only=REGEX      only points whose name matches, as in --only='4k d(1|32) '
  --two-guests      vm: a guest that swaps, and another one that has memory
  --help

Exit status: 0; 1 where it could not run, where an option is wrong, or where
verification failed: then there are no results."""


class Wrong(Exception):
    """An option that is not allowed; its text is the one line."""


@dataclass
class Options:
    suite: str
    rounds: int = 3
    seconds: int = 3
    quick: bool = False
    smoke: bool = False
    out: Path = Path()
    systems: list = field(default_factory=list)
    only: str = ""
    two_guests: bool = False
    inside: str = ""  # set in a guest: what this guest is

    def wants(self, point_name):
        return re.search(self.only, point_name) is not None


def number(name, text, low, high):
    if not re.fullmatch("[0-9]+", text) or not low <= int(text) <= high:
        raise Wrong(f"--{name}={text}: allowed is a number from {low} to "
                    f"{high}")
    return int(text)


def regex(text):
    try:
        re.compile(text)
    except re.error as error:
        raise Wrong(f"--only={text}: {error}; allowed is a regular expression")
    return text


FLAGS = {"quick", "smoke", "two-guests"}
VALUES = {
    "rounds": lambda text: number("rounds", text, 1, 100),
    "seconds": lambda text: number("seconds", text, 1, 600),
    "out": Path,
    "systems": lambda text: text.split(","),
    "only": regex,
    "inside": str,
}


def set_option(found, argument):
    name, equals, text = argument[2:].partition("=")
    if name in FLAGS and not equals:
        found[name.replace("-", "_")] = True
    elif name in VALUES and text:
        found[name] = VALUES[name](text)
    elif name in VALUES:
        raise Wrong(f"{argument}: allowed is --{name}=VALUE")
    else:
        raise Wrong(f"{argument}: no such option (see --help)")


def parse(arguments):
    found, suites = {}, []
    for argument in arguments:
        if argument.startswith("--"):
            set_option(found, argument)
        else:
            suites.append(argument)
    if len(suites) != 1 or suites[0] not in SUITES:
        raise Wrong(f"{' '.join(suites) or 'no suite'}: allowed is one of "
                    + ", ".join(SUITES))
    if found.get("two_guests") and suites[0] != "vm":
        raise Wrong(f"--two-guests: allowed with vm, not with {suites[0]}")
    if found.get("smoke"):
        found.setdefault("rounds", 1)
        found.setdefault("seconds", 1)
    found.setdefault("out", SRC / "build-bench" / suites[0])
    return Options(suites[0], **found)
