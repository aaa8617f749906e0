"""bench/run pool: how long a front end takes to start with many servers in its
pool, how soon it uses one that joins, and how soon it knows that one is lost; with
a real etcd, on this machine."""

import base64
import json
import signal
import time
import urllib.request

from lib import rounds
from lib.errors import Failed
from lib.local import Bed
from lib.processes import await_true, free_port
from lib.samples import Outcome, Point

TITLES = {"rswap-nbd": "rswap-nbd over TCP"}
SYSTEM = "rswap-nbd"
LANES = 4
SERVERS_MAX = 16  # as the front end has it by default
PREFIX = "/rswap/1/blue/servers/"


def encoded(text):
    return base64.b64encode(text.encode()).decode()


class Etcd:
    def __init__(self, bed):
        port, peer = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.pool = f"etcd://127.0.0.1:{port}/blue"
        bed.start("etcd", ["etcd", f"--data-dir={bed.path('etcd')}",
                           f"--listen-client-urls={self.url}",
                           f"--advertise-client-urls={self.url}",
                           f"--listen-peer-urls=http://127.0.0.1:{peer}",
                           f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                           f"--initial-cluster=default=http://127.0.0.1:{peer}"],
                  self.answers)

    def ask(self, path, **body):
        request = urllib.request.Request(self.url + path,
                                         json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def answers(self):
        try:
            self.ask("/v3/kv/range", key=encoded("/"))
        except OSError:
            return False
        return True

    def servers(self):
        found = self.ask("/v3/kv/range", key=encoded(PREFIX),
                         range_end=encoded(PREFIX[:-1] + "0"))
        return [base64.b64decode(kv["value"]).decode()
                for kv in found.get("kvs", ())]

    def put(self, address, value):
        self.ask("/v3/kv/put", key=encoded(PREFIX + address),
                 value=encoded(value))


def start_members(bed, etcd, count):
    for i in range(count):
        bed.start_memserver(f"server{i}", "64M", "--transport=tcp",
                            f"--pool={etcd.pool}")
    await_true(60, lambda: len(etcd.servers()) == count,
               "the servers do not register")


def start_device(bed, name, servers, *keys, size="48M"):
    """How long it takes until it serves."""
    began = time.monotonic()
    bed.start_rswap_nbd(name, servers, size, f"lanes={LANES}", *keys)
    return time.monotonic() - began


def crowded(count):
    """All but SERVERS_MAX servers are full, and only their keys are there: no
    front end asks those for anything."""
    with Bed() as bed:
        etcd = Etcd(bed)
        start_members(bed, etcd, SERVERS_MAX)
        full = json.loads(etcd.servers()[0])
        full["free_bytes"] = 0
        for i in range(count - SERVERS_MAX):
            address = f"10.0.{i >> 8}.{i & 255}:10909"
            full["incarnation"] = f"{i:032x}"
            etcd.put(address, json.dumps(full))
        by_hand = start_device(bed, "by-hand",
                               [f"127.0.0.1:{bed.port('server0')}"])
        by_pool = start_device(bed, "by-pool", [], f"pool={etcd.pool}")
        figures = bed.status("by-pool")["pool"]
        if figures["registered"] != count or figures["used"] != SERVERS_MAX:
            raise Failed(f"of {count} servers it knows {figures['registered']}"
                         f", and uses {figures['used']}")
    return Outcome({"start_s": by_pool, "by_hand_s": by_hand})


def servers_of(bed):
    return bed.status("device")["servers"]


def count_up(bed):
    return [server["state"] for server in servers_of(bed)].count("up")


def start_writing(bed):
    """A slab after the other, 16 in a second, for half a minute: a server that may
    have one gets one at once."""
    bed.start("writer", ["fio", "--name=writer", "--ioengine=nbd",
                         f"--uri=nbd+unix:///?socket={bed.socket('device')}",
                         "--rw=write", "--bs=64k", "--size=512M",
                         "--rate=16M", "--time_based", "--runtime=120"],
              lambda: int(servers_of(bed)[0]["slabs"]) > 0)


def joined():
    """From the moment when etcd has the server's key: until there is a session, and
    until the device has placed a slab there."""
    with Bed() as bed:
        etcd = Etcd(bed)
        bed.start_memserver("first", "600M", "--transport=tcp",
                            "--slab-size=1M", f"--pool={etcd.pool}")
        await_true(60, lambda: len(etcd.servers()) == 1, "it does not register")
        start_device(bed, "device", [], f"pool={etcd.pool}", size="512M")
        start_writing(bed)
        bed.start_memserver("late", "600M", "--transport=tcp",
                            "--slab-size=1M", f"--pool={etcd.pool}")
        await_true(60, lambda: len(etcd.servers()) == 2, "it does not register")
        began = time.monotonic()
        await_true(60, lambda: count_up(bed) == 2, "it does not join")
        join_s = time.monotonic() - began
        await_true(60, lambda: int(servers_of(bed)[1]["slabs"]) > 0,
                   "it gets no slab")
        return Outcome({"join_s": join_s, "slab_s": time.monotonic() - began})


def seconds_until(began, conditions):
    """From BEGAN until each of them held for the first time, by its name."""
    seconds = {}

    def all_held():
        now = time.monotonic()
        for name, condition in conditions.items():
            if name not in seconds and condition():
                seconds[name] = now - began
        return len(seconds) == len(conditions)

    await_true(60, all_held, f"of {', '.join(conditions)} not all come")
    return seconds


def lost():
    """A server that hangs closes no connection: until the device misses its
    answers, and until it knows that its key is gone, whose lease is 9 s."""
    with Bed() as bed:
        etcd = Etcd(bed)
        start_members(bed, etcd, 2)
        start_device(bed, "device", [], f"pool={etcd.pool}")
        await_true(60, lambda: count_up(bed) == 2, "it does not join")
        server = bed.processes.find("server1")
        server.child.send_signal(signal.SIGSTOP)
        try:
            return Outcome(seconds_until(time.monotonic(), {
                "missed_s": lambda: count_up(bed) == 1,
                "key_gone_s": lambda: int(
                    bed.status("device")["pool"]["registered"]) == 1}))
        finally:
            server.child.send_signal(signal.SIGCONT)


def points(options):
    counts = (SERVERS_MAX, 100) if options.smoke else (SERVERS_MAX, 100, 1000)
    found = [Point(f"start, servers: {count}", {"servers": count}, 8,
                   lambda _, n=count: crowded(n)) for count in counts]
    found.append(Point("a server joins", {}, 6, lambda _: joined()))
    found.append(Point("a server is lost", {}, 20, lambda _: lost()))
    return [p for p in found if options.wants(p.name)]


def measure(options):
    return rounds.measure_alone("pool", TITLES, points(options), options,
                                {"errors": 0})
