"""The block devices of the vm suite: what serves each of them, and how it comes
up.  Server and client are on one guest, or on one each."""

import os
from pathlib import Path

from inside.shell import call, write
from lib.errors import Failed
from lib.paths import PLUGIN, RSWAP_NBD, RSWAPCTL
from lib.processes import Running, await_true, greets, run

SERVER = "10.77.0.1"
NVMET = Path("/sys/kernel/config/nvmet")
NVME_PORTS = {"rdma": 4420, "tcp": 4421}
SECOND_HOP_PORT = 10910
MIB = 1 << 20

DEVICES = {  # NVMe's are known when they are connected
    "rswap-rdma": "/dev/nbd0",
    "rswap-tcp": "/dev/nbd1",
    "nbd-memory": "/dev/nbd2",
    "rswap-sealed-rdma": "/dev/nbd3",
    "rswap-nbd-rdma": "/dev/nbd4",
    "rswap-sealed-nbd-rdma": "/dev/nbd5",
    "rswap-nbd-tcp": "/dev/nbd6",
    "two-hop": "/dev/nbd7",
    "rswap-ublk-rdma": "/dev/ublkb0",
    "rswap-ublk-tcp": "/dev/ublkb1",
    "rswap-sealed-ublk-rdma": "/dev/ublkb2",
    "zram": "/dev/zram0",
}


def transport_of(system):
    return system.rpartition("-")[2]


def rxe_up():
    if not Path("/sys/class/infiniband/rxe0").exists():
        call("rxe_up")


def queue_setting(device, name, value):
    path = Path("/sys/block") / Path(device).name / "queue" / name
    if path.exists():
        write(path, value)


# --- the machine that has memory ---

def export_nvme(transport, number, size_bytes):
    """A ramdisk, by the kernel's own target.  brd makes all of its disks at
    once, as large as each other."""
    port = NVMET / "ports" / str(number + 1)
    subsystem = NVMET / "subsystems" / f"bench-{transport}"
    call("load_modules", f"nvmet_{transport}")
    if not Path("/dev/ram0").exists():
        run(["modprobe", "brd", "rd_nr=2", f"rd_size={size_bytes // 1024}"])
    (subsystem / "namespaces" / "1").mkdir(parents=True)
    write(subsystem / "attr_allow_any_host", 1)
    write(subsystem / "namespaces/1/device_path", f"/dev/ram{number}")
    write(subsystem / "namespaces/1/enable", 1)
    port.mkdir()
    write(port / "addr_trtype", transport)
    write(port / "addr_adrfam", "ipv4")
    write(port / "addr_traddr", SERVER)
    write(port / "addr_trsvcid", NVME_PORTS[transport])
    (port / "subsystems" / subsystem.name).symlink_to(subsystem)


def serve(bed, systems, size_bytes):
    """Returns the memory server's process, or None where none is needed."""
    rswaps = [s for s in systems if s.startswith("rswap-")]
    if any(s.endswith("-rdma") for s in systems):
        rxe_up()
    call("load_modules", "nvmet")
    for number, transport in enumerate(("rdma", "tcp")):
        if f"nvme-{transport}" in systems:
            export_nvme(transport, number, size_bytes)
    if "two-hop" in systems:
        bed.start("second-hop",
                  ["nbdkit", "-f", "-i", SERVER, "-p", SECOND_HOP_PORT,
                   "memory", str(size_bytes)],
                  lambda: greets((SERVER, SECOND_HOP_PORT)))
    if not rswaps:
        return None
    # a slab more for each than its device needs, for rounding up
    memory = len(rswaps) * (size_bytes // MIB + 64)
    return bed.start_memserver("memserver", f"{memory}M", address=SERVER,
                               port=10909)


# --- the machine that swaps ---

def encryption_of(system):
    return "on" if "-sealed-" in system else "off"


def attach(bed, name, device, size_bytes, *options):
    """As a user would, with what rswapctl sets; then without swap on it."""
    run(["env", f"PATH={RSWAP_NBD.parent}:{os.environ['PATH']}",
         RSWAPCTL, "attach", SERVER, f"--size={size_bytes}",
         f"--device={device}", f"--name={name}", *options,
         *(f"--{key}" for key in bed.keys)])
    run(["swapoff", device])
    return device


def front_of(system):
    for front in ("nbd", "ublk"):
        if f"-{front}-" in system:
            return [f"--front={front}"]
    return ["--front=nbdkit", f"--plugin={PLUGIN}"]


def attach_rswap(bed, system, size_bytes):
    call("load_modules", "ublk_drv" if "-ublk-" in system else "nbd")
    return attach(bed, system, DEVICES[system], size_bytes,
                  f"--transport={transport_of(system)}",
                  f"--encrypt={encryption_of(system)}", *front_of(system))


def connect_nvme(transport):
    """What nvme-cli's connect does."""
    call("load_modules", f"nvme_{transport}")
    write("/dev/nvme-fabrics",
          f"transport={transport},traddr={SERVER},"
          f"trsvcid={NVME_PORTS[transport]},nqn=bench-{transport}")
    found = []
    await_true(20, lambda: found.extend(nvme_disks(transport)) or found,
               f"there is no disk of bench-{transport}")
    return found[0]


def nvme_disks(transport):
    for nqn in Path("/sys/class/nvme-subsystem").glob("*/subsysnqn"):
        if nqn.read_text().strip() == f"bench-{transport}":
            for disk in nqn.parent.glob("nvme*n1"):
                if Path("/dev", disk.name).is_block_device():
                    yield f"/dev/{disk.name}"


def connect_nbdkit(bed, system, *arguments):
    """With a plugin of nbdkit's own."""
    device = DEVICES[system]
    bed.start_nbdkit(system, "--swap", *arguments)
    run(["nbd-client", "-unix", bed.socket(system), device,
         "-block-size", "4096", "-connections", "2"])
    # nbdkit would wait for the kernel
    bed.before_end.append(lambda: run(["nbd-client", "-d", device]))
    queue_setting(device, "scheduler", "none")
    return device


def make_zram(size_bytes):
    call("load_modules", "zram")
    write("/sys/block/zram0/disksize", size_bytes)
    return DEVICES["zram"]


def connect(bed, system, size_bytes):
    """The system's block device."""
    kind = system.partition("-")[0]
    if kind == "rswap":
        return attach_rswap(bed, system, size_bytes)
    if kind == "nvme":
        return connect_nvme(transport_of(system))
    if system == "nbd-memory":
        call("load_modules", "nbd")
        return connect_nbdkit(bed, system, "memory", str(size_bytes))
    if system == "two-hop":
        call("load_modules", "nbd")
        return connect_nbdkit(bed, system, "nbd", f"hostname={SERVER}",
                              f"port={SECOND_HOP_PORT}")
    if system == "zram":
        return make_zram(size_bytes)
    raise Failed(f"{system}: no such system")


def control_socket(system):
    """Of a plugin that rswapctl started."""
    return Path("/run/rswap") / system / "control.sock"


# --- what takes part, by what cost.Meter calls it ---

def attached(name):
    """rswapctl knows the process that it started by its pid file."""
    return Running(int((Path("/run/rswap") / name / "pid").read_text()))


def front_process(bed, system):
    if system in ("two-hop", "nbd-memory"):
        return bed.processes.find(system)
    return attached(system) if system.startswith("rswap-") else None


def parts(bed, system):
    """The processes of a system that are in this guest.  NVMe's and zram's
    work is the kernel's."""
    server = "second-hop" if system == "two-hop" else "memserver"
    found = {"front": front_process(bed, system)}
    if system == "two-hop" or system.startswith("rswap-"):
        found["server"] = bed.processes.look_up(server)
    return {name: [process] for name, process in found.items() if process}


def attached_parts(bed, name):
    """The same of a device that has another name than a system."""
    server = bed.processes.look_up("memserver")
    return {"front": [attached(name)], **({"server": [server]} if server else {})}
