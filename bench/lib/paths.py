"""Where things are."""

import os
from pathlib import Path

from lib.errors import Failed

SRC = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("RSWAP_BUILD") or SRC / "build").resolve()
MEMSERVER = BUILD / "memserver" / "rswap-memserver"
PLUGIN = BUILD / "plugin" / "nbdkit-rswap-plugin.so"
RSWAP_NBD = BUILD / "plugin" / "rswap-nbd"
RSWAP_UBLK = BUILD / "plugin" / "rswap-ublk"
RSWAPCTL = BUILD / "ctl" / "rswapctl"
PAGECHECK = BUILD / "tests" / "pagecheck"
NBDLAT = BUILD / "bench" / "nbdlat"
SWAPSLOTS = BUILD / "bench" / "swapslots"
STRANGERS = BUILD / "tests" / "integration" / "strangers"

# What runs rswap's plugin; a test puts something in its place that loses data.
NBDKIT = os.environ.get("RSWAP_BENCH_NBDKIT") or "nbdkit"


def require_built():
    for program in (MEMSERVER, PLUGIN, RSWAP_NBD, RSWAP_UBLK, RSWAPCTL, PAGECHECK,
                    NBDLAT, SWAPSLOTS, STRANGERS):
        if not program.exists():
            raise Failed(f"{program} is not built: cmake -B build && "
                         "cmake --build build")
