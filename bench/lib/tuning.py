"""bench/run tuning: settings that decide how long a fault takes, one changed
at a time, beside what rswapctl attach leaves.  A setting is what a system is to
the other suites.

In one guest a program has less memory than it needs by its cgroup's limit.  The
kernel's own reclaim (kswapd, its watermarks) has no part in that.  With
--two-guests the whole guest is short of memory."""

from dataclasses import dataclass

from lib import control, guest, rounds
from lib.local import Bed
from lib.samples import Point

MIB = 1 << 20
DEVICE_BYTES = 768 * MIB
SETUP_S = 90
KEYS = ("encrypt=off",)  # an emulated cipher would hide what a setting does


@dataclass
class Setting:
    title: str
    # Name, and value, or a function of the value and of that before attach.
    sysctl: tuple = ()
    queue: tuple = ()
    connections: int = 0  # a device of its own


ATTACH = {"attach": Setting("as rswapctl attach leaves it")}
DEVICE = {
    **{f"page-cluster-{n}": Setting(f"vm.page-cluster={n}: up to {1 << n} "
                                    "pages are read at a fault",
                                    ("page-cluster", n))
       for n in (0, 1, 2, 4, 5)},
    "nr-requests-32": Setting("32 requests in the queue", (),
                              ("nr_requests", 32)),
    "mq-deadline": Setting("scheduler mq-deadline", (),
                           ("scheduler", "mq-deadline")),
    "connections-1": Setting("1 connection", connections=1),
    "connections-4": Setting("4 connections", connections=4),
}
RECLAIM = {
    "scale-100": Setting("vm.watermark_scale_factor=100",
                         ("watermark_scale_factor", 100)),
    "scale-500": Setting("vm.watermark_scale_factor=500",
                         ("watermark_scale_factor", 500)),
    "min-free-kernel": Setting("the kernel's own vm.min_free_kbytes",
                               ("min_free_kbytes", lambda now, own: own)),
    "min-free-4": Setting("four times vm.min_free_kbytes",
                          ("min_free_kbytes", lambda now, own: 4 * now)),
}
SETTINGS = {**ATTACH, **DEVICE, **RECLAIM}
# Two connections are what attach makes.
DEVICES = {0: "/dev/nbd0", 1: "/dev/nbd1", 4: "/dev/nbd2"}


@dataclass
class Scale:
    size_bytes: int
    percent: int  # of it in memory; 0: what the guest has
    touches: int
    passes: int = 1  # in order


def scale(options):
    """A guest of 256 MiB (guest.py) swaps about 100 of 208."""
    if options.smoke:
        return Scale(8 * MIB, 33, 100)
    if options.two_guests:
        return (Scale(208 * MIB, 0, 1000, 0) if options.quick else
                Scale(208 * MIB, 0, 4000))
    return Scale(24 * MIB, 33, 1000) if options.quick else Scale(64 * MIB, 33,
                                                                 4000)


def titles(options):
    more = RECLAIM if options.two_guests else DEVICE
    return {name: setting.title for name, setting in {**ATTACH, **more}.items()}


def chosen(options):
    return rounds.choose(options, titles(options))


def points(options, work):
    """An emulated guest swaps about 1,000 pages a second."""
    size = scale(options)
    pages = size.size_bytes / 4096
    found = [Point("pages", {"workload": "pages",
                             "limit_percent": size.percent},
                   (1 + size.passes) * pages / 1000 + size.touches / 400,
                   work)]
    return [p for p in found if options.wants(p.name)]


def measure(options):
    systems, planned = chosen(options), points(options, None)
    rounds.announce("tuning", planned, systems, options, SETUP_S)
    seconds = rounds.expected_s(planned, systems, options.rounds) + SETUP_S
    return guest.measure(options, 3600 + int(8 * seconds))


# --- in a guest ---

def devices_of(systems):
    """By the number of connections."""
    return {n: DEVICES[n] for n in
            sorted({SETTINGS[system].connections for system in systems})}


def name_of(connections):
    return f"rswap-{connections or 'default'}"


def apply(setting, device):
    from inside import settings
    if setting.sysctl:
        name, value = setting.sysctl
        if callable(value):
            value = value(int(settings.read(settings.VM / name)),
                          int(settings.before_attach(name)))
        return settings.sysctl(name, value)
    if setting.queue:
        return settings.queue(device, *setting.queue)
    return settings.as_it_is()


def run_one(options, bed, system):
    from inside import devices, workloads
    size, setting = scale(options), SETTINGS[system]
    device = DEVICES[setting.connections]
    parts = devices.attached_parts(bed, name_of(setting.connections))

    def work():
        return workloads.pages(system, size.size_bytes, size.percent,
                               size.touches, size.passes)
    with apply(setting, device), workloads.swap_on(device):
        before = workloads.reclaimed_pages()
        outcome = workloads.metered(parts, work)
        outcome.metrics.update(workloads.direct_share(before))
    return outcome


def compute(options):
    from inside import devices, shell
    systems = chosen(options)
    with Bed(0, (*KEYS, *options.keys)) as bed:
        if options.two_guests:
            devices.rxe_up()
        else:
            devices.serve(bed, ["rswap-rdma"], 3 * DEVICE_BYTES)
        for n, device in devices_of(systems).items():
            devices.attach(bed, name_of(n), device, DEVICE_BYTES,
                           "--transport=rdma", "--front=nbd",
                           *([f"--connections={n}"] if n else []))
        samples = rounds.measure(
            points(options, lambda system: run_one(options, bed, system)),
            systems, options.rounds)
        verified = {}
        for n in devices_of(systems):
            status = control.ask(devices.control_socket(name_of(n)))
            control.check_errors(name_of(n), status, "rdma")
            verified[name_of(n)] = {"pagecheck": "no page wrong",
                                    "errors": int(status["errors"])}
        shell.require_clean_kernel_log()
    return samples, verified


def inside(options):
    if options.inside == "server":
        from inside import devices
        guest.serve(lambda bed: devices.serve(bed, ["rswap-rdma"],
                                              DEVICE_BYTES))
    else:
        guest.inside(lambda: compute(options))
