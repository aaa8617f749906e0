"""Servers and nbdkits on the machine itself, in a directory of their own."""

import shutil
import tempfile
from pathlib import Path

from lib import control
from lib.errors import Failed, Rejected
from lib.paths import MEMSERVER, NBDKIT, PLUGIN, RSWAP_NBD
from lib.processes import Processes, free_port, greets


def words(threads):
    """How nbdkit is told how many threads it has; by default a user says
    nothing."""
    return ["-t", threads] if threads else []


class Bed:
    """threads of each nbdkit, and keys of each rswap: none where what a user
    gets is measured."""

    def __init__(self, threads=0, keys=()):
        self.threads, self.keys = threads, keys
        self.dir = Path(tempfile.mkdtemp(prefix="rswap-bench."))
        self.processes = Processes()
        self.before_end = []  # called first

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        died = self.processes.died()
        if isinstance(error, (Failed, Rejected)):
            self.processes.tell_last_words()
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

    def rswap_words(self, name, servers, size, keys):
        return [*(f"server={s}" for s in servers), f"size={size}",
                f"control={self.path(name + '.control')}", *keys, *self.keys]

    def start_rswap(self, name, servers, size, *keys, threads=0, under=()):
        """servers: HOST:PORT each.  under: a program that runs it."""
        return self.start(
            name, [*under, NBDKIT, "-f", *words(threads or self.threads), "-U",
                   self.socket(name), PLUGIN,
                   *self.rswap_words(name, servers, size, keys)],
            lambda: greets(str(self.socket(name))))

    def start_rswap_nbd(self, name, servers, size, *keys, under=()):
        return self.start(
            name, [*under, RSWAP_NBD, f"--unix={self.socket(name)}",
                   *self.rswap_words(name, servers, size, keys)],
            lambda: greets(str(self.socket(name))))

    def start_nbdkit(self, name, *arguments, under=()):
        return self.start(
            name, [*under, "nbdkit", "-f", *words(self.threads), "-U",
                   self.socket(name), *arguments],
            lambda: greets(str(self.socket(name))))

    def start_nbdkit_tcp(self, name, *arguments):
        port = free_port()
        self.start(name, ["nbdkit", "-f", *words(self.threads), "-i",
                          "127.0.0.1", "-p", port, *arguments],
                   lambda: greets(("127.0.0.1", port)))
        return port

    def status(self, name):
        return control.ask(self.path(f"{name}.control"))
