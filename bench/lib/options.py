"""The command line.  What is wrong is told in one line."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from lib.head import PROCESSORS
from lib.paths import SRC

SUITES = ("host", "vm", "tuning", "raw", "instructions", "scale", "copies",
          "faults", "strangers", "pool")

USAGE = """\
usage: bench/run SUITE [OPTION]...

Measures rswap beside what a user would pick instead, the systems in turn.

  host     fio on this machine, over TCP
  vm       in a virtual machine, over soft-RoCE: fio on the block device, and
           swapping: page faults, redis, sqlite
  tuning   in a virtual machine: settings of the kernel that decide how long a
           page fault takes, one changed at a time; with --two-guests those of
           reclaim
  raw      in a virtual machine: one request beside ib_read_lat, CPU seconds
           per page, reads while writes are in flight
  instructions
           what a request costs in each front end, in instructions: callgrind
           counts them, so that a busy machine changes them little
  scale    many sessions, many servers, large devices, on this machine
  copies   one copy, two, and 4+2 shares, on this machine
  faults   servers that are paused, killed and repaired, on this machine
  strangers
           reads beside 10,000 silent connections, and beside 1,000 handshakes
           at once, on this machine
  pool     starting with 1,000 servers in a pool, a server that joins, and one
           that is lost; with an etcd, on this machine

  --rounds=N        how often everything is measured, 1 to 100 (default 3)
  --seconds=S       duration of one fio measurement, 1 to 600 (default 3)
  --quick           fewer points of each kind
  --smoke           as few and as short as can be: does it run at all?
  --out=DIR         where results.json, results.md and the plots go
                    (default build-bench/SUITE)
  --systems=A,B...  only these
  --only=REGEX      only points whose name matches, as in --only='4k d(1|32) '
  --threads=N       host, raw: of each nbdkit, 1 to 256 (default: nbdkit's
                    own)
  --keys=K=V,K=V... host, vm, tuning, raw: more keys of rswap, as in
                    --keys=lanes=64 (default: none; both options tune: see
                    the first line)
  --two-guests      vm, tuning: a guest that swaps, and another one that has
                    memory
  --kernel=RELEASE  vm, tuning: the kernel of that release of Debian, as trixie,
                    which has the ublk driver (default: this machine's release)
  --cpu=MODEL       vm, tuning, raw: the guest's processor where it is emulated:
                    tables, plain or full (default tables; see the first line)
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
    kernel: str = ""
    cpu: str = ""
    threads: int = 0  # of each nbdkit; 0: nbdkit's own default
    keys: list = field(default_factory=list)
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


def release(text):
    if not re.fullmatch("[a-z]+", text):
        raise Wrong(f"--kernel={text}: allowed is the name of a release of "
                    "Debian")
    return text


def processor(text):
    if text not in PROCESSORS:
        raise Wrong(f"--cpu={text}: allowed is one of " + ", ".join(PROCESSORS))
    return text


def keys(text):
    found = text.split(",")
    if not all(re.fullmatch("[a-z-]+=[^ =]+", word) for word in found):
        raise Wrong(f"--keys={text}: allowed is KEY=VALUE,KEY=VALUE...")
    return found


FLAGS = {"quick", "smoke", "two-guests"}
VALUES = {
    "rounds": lambda text: number("rounds", text, 1, 100),
    "seconds": lambda text: number("seconds", text, 1, 600),
    "out": Path,
    "systems": lambda text: text.split(","),
    "only": regex,
    "kernel": release,
    "cpu": processor,
    "threads": lambda text: number("threads", text, 1, 256),
    "keys": keys,
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


SUITES_OF = {
    "two-guests": ("vm", "tuning"), "kernel": ("vm", "tuning"),
    "cpu": ("vm", "tuning", "raw"), "threads": ("host", "raw"),
    "keys": ("host", "vm", "tuning", "raw"),
}


def require_fitting(suite, arguments):
    """Some options are for some suites."""
    for argument in arguments:
        suites = SUITES_OF.get(argument[2:].partition("=")[0], SUITES)
        if suite not in suites:
            raise Wrong(f"{argument}: allowed with {', '.join(suites)}, not "
                        f"with {suite}")


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
    require_fitting(suites[0], [a for a in arguments if a.startswith("--")])
    if found.get("smoke"):
        found.setdefault("rounds", 1)
        found.setdefault("seconds", 1)
    found.setdefault("out", SRC / "build-bench" / suites[0])
    return Options(suites[0], **found)
