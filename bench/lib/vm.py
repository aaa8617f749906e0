"""bench/run vm: block devices and swap in a virtual machine, over soft-RoCE."""

import os
from dataclasses import dataclass

from lib import control, cost, fio, guest, rounds
from lib.errors import Rejected, Failed
from lib.local import Bed
from lib.paths import SRC
from lib.samples import Point

TITLES = {
    "rswap-rdma": "rswap over RDMA (soft-RoCE), plugin in nbdkit, encrypt=off",
    "rswap-sealed-rdma":
        "rswap over RDMA (soft-RoCE), plugin in nbdkit, sealed pages",
    "rswap-nbd-rdma": "rswap over RDMA (soft-RoCE), rswap-nbd, encrypt=off",
    "rswap-ublk-rdma": "rswap over RDMA (soft-RoCE), rswap-ublk, encrypt=off",
    "rswap-sealed-nbd-rdma":
        "rswap over RDMA (soft-RoCE), rswap-nbd, sealed pages: what rswapctl "
        "attach makes where the kernel has no ublk",
    "rswap-sealed-ublk-rdma":
        "rswap over RDMA (soft-RoCE), rswap-ublk, sealed pages: what rswapctl "
        "attach makes where the kernel has ublk",
    "rswap-tcp": "rswap over TCP, plugin in nbdkit, encrypt=off",
    "rswap-nbd-tcp": "rswap over TCP, rswap-nbd, encrypt=off",
    "rswap-ublk-tcp": "rswap over TCP, rswap-ublk, encrypt=off",
    "nvme-rdma": "the kernel's NVMe-oF over RDMA (soft-RoCE), a ramdisk",
    "nvme-tcp": "the kernel's NVMe over TCP, a ramdisk",
    "two-hop": "nbd -> nbdkit nbd plugin -> TCP -> nbdkit memory",
    "nbd-memory": "nbd -> nbdkit memory, no network: the floor of the nbd path",
    "zram": "zram, no network",
}
MIB = 1 << 20
SETUP_S = 90
FIO_STARTUP_S = 2  # in an emulated guest


@dataclass
class Scale:
    """How much of everything."""
    modes: tuple
    depths: tuple
    limits: tuple        # memory, in percent of the working set
    program_limits: tuple
    device_bytes: int = 384 * MIB
    area_bytes: int = 96 * MIB  # what fio uses of it
    pages_bytes: int = 160 * MIB
    program_bytes: int = 64 * MIB
    touches: int = 5000
    requests: int = 10000


FULL = Scale(tuple(fio.MODES), (1, 4, 16, 32, 64), (75, 50, 33, 25),
             (100, 75, 50, 25))
QUICK = Scale(("randread", "randwrite"), (1, 32), (33,), (50,))
SMOKE = Scale(("randread",), (1,), (33,), (50,), 64 * MIB, 8 * MIB, 8 * MIB,
              3 * MIB, 100, 300)


def scale(options):
    return SMOKE if options.smoke else QUICK if options.quick else FULL


def fio_points(options, size, devices, parts):
    for mode in size.modes:
        for depth in size.depths:
            def run(system, mode=mode, depth=depth):
                return cost.of_fio(parts(system),
                                   fio.device_target(devices[system]), mode,
                                   4096, depth, 1, size.area_bytes,
                                   options.seconds)
            yield Point(f"{mode} 4k d{depth}",
                        {"mode": mode, "block_bytes": 4096, "depth": depth,
                         "connections": 1},
                        options.seconds + FIO_STARTUP_S, run)


def swap_point(workload, percent, seconds, devices, parts, work):
    from inside import workloads

    def run(system):
        with workloads.swap_on(devices[system]):
            return workloads.metered(parts(system), lambda: work(system))
    return Point(f"{workload} {percent}%",
                 {"workload": workload, "limit_percent": percent}, seconds,
                 run)


def pages_points(size, devices, parts):
    """An emulated guest swaps about 1,000 pages a second."""
    from inside import workloads
    seconds = 3 * size.pages_bytes / 4096 / 1500 + size.touches / 400
    for percent in size.limits:
        yield swap_point("pages", percent, seconds, devices, parts,
                         lambda system, percent=percent: workloads.pages(
                             system, size.pages_bytes, percent, size.touches))
    yield swap_point("zipf", 33, seconds / 2, devices, parts,
                     lambda system: workloads.zipf(
                         system, size.pages_bytes, 33, size.touches))


def program_points(size, devices, parts):
    from inside import workloads
    seconds = 5 + size.program_bytes / 4096 / 500
    for percent in size.program_limits:
        yield swap_point("redis", percent, seconds, devices, parts,
                         lambda system, percent=percent: workloads.redis(
                             system, size.program_bytes, percent,
                             size.requests, system.startswith("rswap-")))
        yield swap_point("sqlite", percent, seconds, devices, parts,
                         lambda system, percent=percent: workloads.sqlite(
                             system, size.program_bytes, percent,
                             size.requests // 4))


def points(options, devices, parts=None):
    """parts: the processes of a system (devices.parts)."""
    size = scale(options)
    found = [*fio_points(options, size, devices, parts),
             *pages_points(size, devices, parts),
             *program_points(size, devices, parts)]
    if options.smoke:  # a real program on each takes its time
        for point in found:
            if point.fields.get("workload") in ("redis", "sqlite", "zipf"):
                point.systems = ("rswap-rdma",)
    return [p for p in found if options.wants(p.name)]


def titles(options):
    """This machine's own release may have no ublk driver."""
    return {system: title for system, title in TITLES.items()
            if options.kernel or "-ublk-" not in system}


def chosen(options):
    return rounds.choose(options, titles(options))


# --- on the host ---

def measure(options):
    systems = chosen(options)
    planned = points(options, dict.fromkeys(TITLES))
    rounds.announce("vm", planned, systems, options, SETUP_S)
    seconds = rounds.expected_s(planned, systems, options.rounds) + SETUP_S
    return guest.measure(options, 3600 + int(8 * seconds))


# --- in a guest ---

def rswaps(systems):
    return [s for s in systems if s.startswith("rswap-")]


def verify(systems, devices):
    """The job file that users have, on each of rswap's devices."""
    for system in rswaps(systems):
        try:
            fio.run([SRC / "bench/fio/verify.fio"],
                    env={**os.environ, "DEVICE": devices[system]})
        except Failed as error:
            raise Rejected(f"{system}: fio's verification failed: {error}")


def check(systems):
    """What the plugins tell in the end."""
    from inside import devices, shell
    verified = {}
    for system in rswaps(systems):
        status = control.ask(devices.control_socket(system))
        control.check_errors(system, status, devices.transport_of(system))
        verified[system] = {"fio": "crc32c of random writes: all right",
                            "pagecheck": "no page wrong",
                            "errors": int(status["errors"]),
                            "retries": int(status["retries"])}
    shell.require_clean_kernel_log()
    return verified


def connect(bed, systems, size):
    from inside import devices
    found = {}
    for system in systems:
        rounds.say(f"bringing up {system}")
        found[system] = devices.connect(bed, system, size.device_bytes)
        fio.fill(fio.device_target(found[system]), size.area_bytes)
    return found


def compute(options, with_server):
    from inside import devices
    systems, size = chosen(options), scale(options)
    with Bed(options.threads, options.keys) as bed:
        if with_server:
            devices.serve(bed, systems, size.device_bytes)
        elif any(s.endswith("-rdma") for s in systems):
            devices.rxe_up()
        found = connect(bed, systems, size)
        verify(systems, found)
        planned = points(options, found,
                         lambda system: devices.parts(bed, system))
        samples = rounds.measure(planned, systems, options.rounds)
        if not options.smoke:
            for system in rswaps(systems):
                fio.fill(fio.device_target(found[system]), size.area_bytes)
            verify(systems, found)
        verified = check(systems)
    return samples, verified


def inside(options):
    if options.inside == "server":
        from inside import devices
        guest.serve(lambda bed: devices.serve(bed, chosen(options),
                                              scale(options).device_bytes))
    else:
        guest.inside(lambda: compute(options, options.inside == "both"))
