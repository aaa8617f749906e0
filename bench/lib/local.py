"""Servers and nbdkits on the machine itself, in a directory of their own."""

import shutil
import tempfile
from pathlib import Path

from lib import control
from lib.errors import Failed, Rejected
from lib.paths import MEMSERVER, NBDKIT, PLUGIN, RSWAP_NBD
from lib.processes import Processes, free_port, greets


class Bed:
    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="rswap-bench."))
        self.processes = Processes()
        self.before_end = []  # called first

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        died = self.processes.died()
        self.end()
        # the cause of what came out as an error of a request
        if (died and isinstance(error, (Failed, Rejected))
                and died not in str(error)):
            raise kind(f"{died}; {error}")

    def end(self):
        for action in reversed(self.before_end):
            action()
        self.processes.stop_all()
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return self.dir / name

    def start(self, name, command, condition, env=None):
        process = self.processes.start(name, command,
                                       self.path(f"{name}.log"), env)
        process.await_ready(condition)
        return process

    def start_memserver(self, name, memory, *options, address="127.0.0.1",
                        port=0):
        """Returns the process; a port that is left to it, port() tells."""
        port_file = self.path(f"{name}.port")
        # Keys guard the control connection only, which no figure is about.
        if address != "127.0.0.1":
            options += ("--allow-unauthenticated",)
        return self.start(
            name, [MEMSERVER, f"--memory={memory}",
                   f"--listen={address}:{port}", f"--port-file={port_file}",
                   f"--control={self.path(name + '.control')}", *options],
            lambda: port_file.exists() and port_file.read_text().strip())

    def port(self, name):
        return int(self.path(f"{name}.port").read_text().split()[0])

    def socket(self, name):
        return self.path(f"{name}.sock")

    def start_rswap(self, name, servers, size, *keys, threads=32):
        """servers: HOST:PORT each."""
        return self.start(
            name, [NBDKIT, "-f", "-t", threads, "-U", self.socket(name),
                   PLUGIN, *(f"server={s}" for s in servers), f"size={size}",
                   f"control={self.path(name + '.control')}", *keys],
            lambda: greets(str(self.socket(name))))

    def start_rswap_nbd(self, name, servers, size, *keys):
        return self.start(
            name, [RSWAP_NBD, f"--unix={self.socket(name)}",
                   *(f"server={s}" for s in servers), f"size={size}",
                   f"control={self.path(name + '.control')}", *keys],
            lambda: greets(str(self.socket(name))))

    def start_nbdkit(self, name, *arguments, threads=32):
        return self.start(
            name, ["nbdkit", "-f", "-t", threads, "-U", self.socket(name),
                   *arguments],
            lambda: greets(str(self.socket(name))))

    def start_nbdkit_tcp(self, name, *arguments, threads=32):
        port = free_port()
        self.start(name, ["nbdkit", "-f", "-t", threads, "-i", "127.0.0.1",
                          "-p", port, *arguments],
                   lambda: greets(("127.0.0.1", port)))
        return port

    def status(self, name):
        return control.ask(self.path(f"{name}.control"))
