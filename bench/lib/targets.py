"""What rswap is to reach, beside what was measured."""

from dataclasses import dataclass


@dataclass
class Target:
    measure: str
    at_least: float
    aim: float
    value: object  # None: not measured
    at_most: bool = False
    unit: str = ""

    def verdict(self):
        if self.value is None:
            return "not measured"

        def reached(limit):
            return (self.value <= limit if self.at_most
                    else self.value >= limit)
        if self.aim is not None and reached(self.aim):
            return "aim reached"
        return "reached" if reached(self.at_least) else "not reached"

    def dump(self):
        return {"measure": self.measure, "measured": self.value,
                "limit": self.at_least, "aim": self.aim, "unit": self.unit,
                "at_most": self.at_most, "verdict": self.verdict()}


def ratio(samples, metric, of, to, **fields):
    a = samples.median(metric, of, **fields)
    b = samples.median(metric, to, **fields)
    return a / b if a is not None and b else None


def difference(samples, metric, of, to, **fields):
    a = samples.median(metric, of, **fields)
    b = samples.median(metric, to, **fields)
    return a - b if a is not None and b is not None else None


def sealed(samples):
    """What sealing pages costs, and what is left beside two-hop nbdkit."""
    found = []
    for mode in ("randread", "randwrite", "mix"):
        point = {"mode": mode, "block_bytes": 4096, "connections": 1}
        found += [
            Target(f"{mode}, TCP, 4 KiB, depth 32: sealed / not sealed, IOPS",
                   0.9, None, ratio(samples, "iops", "rswap-sealed-tcp",
                                    "rswap-tcp", depth=32, **point)),
            Target(f"{mode}, TCP, 4 KiB, depth 1: sealed - not sealed, p50",
                   5, None, difference(samples, "p50_us", "rswap-sealed-tcp",
                                       "rswap-tcp", depth=1, **point),
                   at_most=True, unit="us"),
            Target(f"{mode}, TCP, 4 KiB, depth 32: sealed / two-hop nbdkit, "
                   "IOPS", 2.2, 3.0,
                   ratio(samples, "iops", "rswap-sealed-tcp", "two-hop",
                         depth=32, **point))]
    return found


def host(samples):
    # (system, depth, other, its title, at least, aim)
    rows = [("rswap-tcp", 1, "two-hop", "two-hop nbdkit", 1.3, 1.6),
            ("rswap-tcp", 32, "two-hop", "two-hop nbdkit", 2.2, 2.6),
            ("rswap-tcp", 32, "memory-unix", "nbdkit memory on a Unix socket",
             0.45, 0.6)]
    for system in ("rswap-nbd", "rswap-sealed-nbd"):
        rows += [(system, 1, "two-hop", "two-hop nbdkit", 1.9, 2.3),
                 (system, 32, "two-hop", "two-hop nbdkit", 3.0, 4.0),
                 (system, 32, "memory-unix", "nbdkit memory on a Unix socket",
                  0.8, 1.2)]
    return [
        Target(f"{mode}, TCP, 4 KiB, depth {depth}: {system} / {title}, IOPS",
               at_least, aim,
               ratio(samples, "iops", system, other, mode=mode,
                     block_bytes=4096, depth=depth, connections=1))
        for system, depth, other, title, at_least, aim in rows
        for mode in ("randread", "randwrite", "mix")] + sealed(samples)


def best_ratio(samples, metric, to, **fields):
    """Of the front end that has most, over RDMA."""
    found = [ratio(samples, metric, f"rswap-{front}rdma", to, **fields)
             for front in ("", "sealed-", "nbd-", "sealed-nbd-", "ublk-",
                           "sealed-ublk-")]
    return max((r for r in found if r is not None), default=None)


PHASES = (("fill_pages_per_s", "fill", 1.5, 1.8),
          ("read_pages_per_s", "read in order", 1.1, 1.3),
          ("random_touches_per_s", "random touches", 1.1, 1.3))


def vm(samples):
    found = [
        Target(f"block device, {mode}, 4 KiB, depth {depth}: best front end / "
               "NVMe-oF RDMA, IOPS", at_least, aim,
               best_ratio(samples, "iops", "nvme-rdma", mode=mode,
                          block_bytes=4096, depth=depth))
        for depth, at_least, aim in ((1, 1.0, 1.2), (32, 1.2, 1.5))
        for mode in ("randread", "randwrite")]
    limit = {"workload": "pages", "limit_percent": 33}
    for metric, title, at_least, aim in PHASES:
        found.append(Target(
            f"swap, {title}: best front end / NVMe-oF RDMA", at_least, aim,
            best_ratio(samples, metric, "nvme-rdma", **limit)))
    for metric, title, _, _ in PHASES:
        found.append(Target(
            f"swap, {title}: best front end / nbd -> nbdkit memory", 0.7, 0.85,
            best_ratio(samples, metric, "nbd-memory", **limit)))
    for workload, metric in (("redis", "requests_per_s"),
                             ("sqlite", "queries_per_s")):
        for percent in (50, 25):
            found.append(Target(
                f"{workload} with {percent} % in memory: best front end / "
                "NVMe-oF RDMA", 0.9, 1.1,
                best_ratio(samples, metric, "nvme-rdma", workload=workload,
                           limit_percent=percent)))
    return found


def over_raw(samples, operation):
    """(rswap - nbdkit memory) / ib_read_lat; ib_write_lat is half of a round
    trip, and nothing to compare a finished write with."""
    values = [samples.median("p50_us", "rswap-rdma", latency=operation),
              samples.median("p50_us", "nbd-memory", latency=operation),
              samples.median("p50_us", "verbs", latency="read")]
    if None in values or not values[2]:
        return None
    return (values[0] - values[1]) / values[2]


def raw(samples):
    found = [
        Target(f"one {operation} through libnbd minus the same through nbdkit "
               "memory, over raw ib_read_lat", 1.3, 1.1,
               over_raw(samples, operation), at_most=True)
        for operation in ("read", "write")]
    for operation in ("read", "write"):
        found.append(Target(
            f"memory server CPU per million {operation}s over RDMA", 0.1, None,
            samples.median("server_cpu_s_per_million", "rswap-rdma",
                           cost=operation), at_most=True, unit="s"))
    found.append(Target(
        "p99 of reads at depth 1 while 32 writes are in flight, over p99 "
        "alone", 2, 1.3,
        samples.median("p99_ratio", "rswap-rdma", busy="32 writes"),
        at_most=True))
    return found


def scale(samples):
    tib = {"size_bytes": 1 << 40}
    memory = samples.median("beyond_lanes_percent", "rswap-tcp", **tib)
    start = samples.median("start_s", "rswap-tcp", **tib)
    return [
        Target("plugin memory beyond its lane buffers, of a size of 1 TiB, "
               "with sealed pages", 0.2, None, memory, at_most=True, unit="%"),
        Target("start, size 1 TiB", 1, None, start, at_most=True, unit="s"),
        *(Target(f"memory taken over memory present, shrunk to a tenth "
                 f"({pattern})", 2, None,
                 samples.median("taken_over_present", "rswap-tcp",
                                pattern=pattern, slab="default"),
                 at_most=True)
          for pattern in ("tail", "programs", "chunk:4"))]


def copies(samples):
    def cost(of, mode, depth):
        return ratio(samples, "iops", "one", of, mode=mode, depth=depth)
    return [
        Target("write, depth 32: one copy / replicas=2, IOPS", 1.6, None,
               cost("two", "randwrite", 32), at_most=True),
        Target("read, depth 1: one copy / replicas=2, IOPS", 1.05, 1.0,
               cost("two", "randread", 1), at_most=True),
        Target("read, depth 32: one copy / replicas=2, IOPS", 1.05, 1.0,
               cost("two", "randread", 32), at_most=True),
        Target("read, depth 1: one copy / redundancy=4+2, IOPS", 1.5, None,
               cost("four-two", "randread", 1), at_most=True)]


def faults(samples):
    def of(metric, fault):
        return samples.median(metric, "rswap-tcp", fault=fault)
    return [
        Target("requests that fail where the only server is paused for 5 s",
               0, None, of("failed", "one server, paused"), at_most=True),
        Target("replicas=2, a server killed: the longest read, over 50 ms + "
               "2 x the p99 before", 1, None,
               of("limit_ratio", "two copies, one killed"), at_most=True),
        Target("replicas=2, repair: p99 of reads, over the p99 before", 2,
               None, of("p99_ratio", "two copies, repair"), at_most=True)]


def strangers(samples):
    return [
        Target(f"p99 of reads at depth 1 beside {title}, addresses: "
               f"{addresses}; over p99 alone", 2, None,
               samples.median("p99_ratio", "rswap-tcp", strangers=name,
                              addresses=addresses), at_most=True)
        for name, title in (("silent", "10,000 silent connections"),
                            ("handshakes", "1,000 handshakes at once"))
        for addresses in (1, 1000)]


def pool(samples):
    return [
        Target("start with 1,000 servers in the pool", 1, None,
               samples.median("start_s", "rswap-nbd", servers=1000),
               at_most=True, unit="s"),
        Target("a server that joins is used, after its key is there", 2, None,
               samples.median("join_s", "rswap-nbd"), at_most=True, unit="s"),
        Target("a server that joins has a slab, after its key is there", 2, None,
               samples.median("slab_s", "rswap-nbd"), at_most=True, unit="s"),
        Target("a server that hangs is known to be gone: its lease is 9 s", 10,
               None, samples.median("key_gone_s", "rswap-nbd"), at_most=True,
               unit="s")]


def tuning(samples):
    """No setting is to be better than what rswapctl attach leaves, beyond
    noise."""
    settings = dict.fromkeys(system for _, _, system in samples.values
                             if system != "attach")
    return [
        Target(f"{title}: attach / {setting}", 0.85, None,
               ratio(samples, metric, "attach", setting, workload="pages"))
        for setting in settings for metric, title, _, _ in PHASES]


def instructions(samples):
    return [
        Target(f"{mode}, depth {depth}: instructions of rswap-nbd / of nbdkit "
               "with the plugin", 1.25, 1,
               ratio(samples, "instructions", "rswap-nbd", "rswap-tcp",
                     mode=mode, depth=depth), at_most=True)
        for depth in (1, 32) for mode in ("randread", "randwrite")]


def of_suite(suite, samples):
    return {"host": host, "instructions": instructions, "vm": vm, "raw": raw, "scale": scale,
            "tuning": tuning, "copies": copies, "faults": faults,
            "strangers": strangers, "pool": pool}[suite](samples)
