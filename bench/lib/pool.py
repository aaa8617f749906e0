"""bench/run pool: how long a front end takes to start with many servers in its
pool, and how soon it uses one that joins; with a real etcd, on this machine."""

import base64
import json
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


def start_device(bed, name, servers, *keys):
    """How long it takes until it serves."""
    began = time.monotonic()
    bed.start_rswap_nbd(name, servers, "48M", f"lanes={LANES}", *keys)
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


def joined():
    """From the moment when etcd has the server's key."""
    with Bed() as bed:
        etcd = Etcd(bed)
        start_members(bed, etcd, 1)
        start_device(bed, "device", [], f"pool={etcd.pool}")
        bed.start_memserver("late", "64M", "--transport=tcp",
                            f"--pool={etcd.pool}")
        await_true(60, lambda: len(etcd.servers()) == 2, "it does not register")
        began = time.monotonic()
        await_true(60, lambda: [server["state"] for server in
                                bed.status("device")["servers"]
                                ].count("up") == 2, "it does not join")
        return Outcome({"join_s": time.monotonic() - began})


def points(options):
    counts = (SERVERS_MAX, 100) if options.smoke else (SERVERS_MAX, 100, 1000)
    found = [Point(f"start, servers: {count}", {"servers": count}, 8,
                   lambda _, n=count: crowded(n)) for count in counts]
    found.append(Point("a server joins", {}, 4, lambda _: joined()))
    return [p for p in found if options.wants(p.name)]


def measure(options):
    return rounds.measure_alone("pool", TITLES, points(options), options,
                                {"errors": 0})
