"""Programs that run while others are measured, and what they cost."""

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from lib.errors import Failed


def await_true(seconds, condition, what):
    """Until the condition holds; what is said where it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds} seconds in vain: {what}")
        time.sleep(0.005)


# The flags "fixed newstyle" and "no zeroes", and the option to end it all.
FAREWELL = struct.pack(">I8sII", 3, b"IHAVEOPT", 2, 0)


def accepts(path):
    """Does somebody listen on this Unix socket?"""
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


def greets(address):
    """Is there an NBD server, and does it serve?  nbdkit listens before its
    plugin is ready, so the greeting is what counts."""
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family) as s:
        s.settimeout(60)
        if s.connect_ex(address) != 0:
            return False
        try:
            greeting = s.recv(18)
            s.sendall(FAREWELL)
        except OSError:
            return False
    return greeting.startswith(b"NBDMAGIC")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def last_line(*texts):
    """Of the first text that has one."""
    for text in texts:
        if text.strip():
            return text.strip().splitlines()[-1]
    return "said nothing"


def run(command, **options):
    """A program that has to succeed; what it printed."""
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False, **options)
    if done.returncode:
        print(done.stdout, done.stderr, sep="", end="", file=sys.stderr)
        raise Failed(f"{Path(str(command[0])).name} ended with status "
                     f"{done.returncode}: "
                     f"{last_line(done.stderr, done.stdout)}")
    return done.stdout


LAST_WORDS = 15  # lines of a log


class Running:
    """A process that another program started."""

    def __init__(self, pid):
        self.pid = pid

    def cpu_s(self):
        return cpu_s(self.pid)


class Process:
    """One program in the background, with a log."""

    def __init__(self, name, command, log, env=None):
        self.name = name
        self.log = Path(log)
        with open(self.log, "wb") as out:
            self.child = subprocess.Popen(
                [str(c) for c in command], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self.child.pid

    def await_ready(self, condition, seconds=120):
        """Until the condition holds, or the program has ended."""
        await_true(seconds,
                   lambda: self.child.poll() is not None or condition(),
                   f"{self.name} does not become ready")
        if self.child.poll() is not None:
            raise Failed(self.epitaph())

    def epitaph(self):
        return (f"{self.name} ended with status {self.child.returncode}: "
                f"{last_line(self.log.read_text(errors='replace'))}")

    def cpu_s(self):
        return cpu_s(self.pid)

    def status_kib(self, key):
        return status_kib(self.pid, key)

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(15)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Processes:
    """All of them; they end in the order opposite to that of their start."""

    def __init__(self):
        self.running = []

    def start(self, name, command, log, env=None):
        process = Process(name, command, log, env)
        self.running.append(process)
        return process

    def look_up(self, name):
        """None if there is none of that name."""
        return next((p for p in self.running if p.name == name), None)

    def find(self, name):
        process = self.look_up(name)
        if not process:
            raise Failed(f"{name} does not run")
        return process

    def stop(self, process):
        self.running.remove(process)
        process.stop()

    def kill(self, process):
        """As a crash would."""
        self.running.remove(process)
        process.child.kill()
        process.child.wait()

    def died(self):
        """What one that has ended by itself said last; empty if none has."""
        for process in self.running:
            if process.child.poll() is not None:
                return process.epitaph()
        return ""

    def tell_last_words(self):
        """Something failed: what each of them said may tell why."""
        for process in self.running:
            said = process.log.read_text(errors="replace").splitlines()
            for line in said[-LAST_WORDS:]:
                print(f"{process.name}: {line}", file=sys.stderr)

    def stop_all(self):
        while self.running:
            self.running.pop().stop()


def cpu_s(pid):
    """CPU seconds of all threads of a process, ended ones too, in nanosecond
    steps: the clock that clock_getcpuclockid(3) gives for the process."""
    return time.clock_gettime((~pid << 3) | 2)


def status_kib(pid, key):
    """VmRSS, VmLck and so on."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise Failed(f"/proc/{pid}/status has no {key}")
