"""The block devices of the vm suite: what serves each of them, and how it comes
up.  Server and client are on one guest, or on one each."""

from pathlib import Path

from inside.shell import call, write
from lib.errors import Failed
from lib.paths import PLUGIN, RSWAPCTL
from lib.processes import await_true, greets, run

SERVER = "10.77.0.1"
NVMET = Path("/sys/kernel/config/nvmet")
NVME_PORTS = {"rdma": 4420, "tcp": 4421}
MIB = 1 << 20

DEVICES = {  # NVMe's are known when they are connected
    "rswap-rdma": "/dev/nbd0",
    "rswap-tcp": "/dev/nbd1",
    "nbd-memory": "/dev/nbd2",
    "rswap-sealed-rdma": "/dev/nbd3",
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
    if not rswaps:
        return None
    # a slab more for each than its device needs, for rounding up
    memory = len(rswaps) * (size_bytes // MIB + 64)
    return bed.start_memserver("memserver", f"{memory}M", address=SERVER,
                               port=10909)


# --- the machine that swaps ---

def attach_rswap(system, size_bytes):
    """As a user would, with what rswapctl sets; then without swap on it."""
    device = DEVICES[system]
    run([RSWAPCTL, "attach", SERVER, f"--size={size_bytes}",
         f"--device={device}", f"--name={system}",
         f"--transport={transport_of(system)}",
         f"--encrypt={'on' if '-sealed-' in system else 'off'}",
         f"--plugin={PLUGIN}"])
    run(["swapoff", device])
    return device


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


def connect_nbd_memory(bed, size_bytes):
    device = DEVICES["nbd-memory"]
    bed.start("nbd-memory",
              ["nbdkit", "-f", "--swap", "-U", bed.socket("nbd-memory"),
               "memory", str(size_bytes)],
              lambda: greets(str(bed.socket("nbd-memory"))))
    run(["nbd-client", "-unix", bed.socket("nbd-memory"), device,
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
        call("load_modules", "nbd")
        return attach_rswap(system, size_bytes)
    if kind == "nvme":
        return connect_nvme(transport_of(system))
    if system == "nbd-memory":
        call("load_modules", "nbd")
        return connect_nbd_memory(bed, size_bytes)
    if system == "zram":
        return make_zram(size_bytes)
    raise Failed(f"{system}: no such system")


def control_socket(system):
    """Of a plugin that rswapctl started."""
    return Path("/run/rswap") / system / "control.sock"
