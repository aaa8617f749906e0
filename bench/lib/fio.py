"""fio: what to run, and what it found."""

import json
import subprocess

from lib.errors import Failed, Rejected
from lib.samples import Outcome

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99)
MODES = {"randread": ["--rw=randread"],
         "randwrite": ["--rw=randwrite"],
         "mix": ["--rw=randrw", "--rwmixread=70"]}
BLOCKS = {4096: "4k", 32768: "32k", 131072: "128k"}


def nbd_target(socket_path):
    return ["--ioengine=nbd", f"--uri=nbd+unix:///?socket={socket_path}"]


def nbd_tcp_target(port):
    return ["--ioengine=nbd", f"--uri=nbd://127.0.0.1:{port}"]


def device_target(device):
    return ["--ioengine=libaio", "--direct=1", f"--filename={device}"]


def run(arguments, env=None):
    """fio's JSON; an error of a request makes fio fail."""
    command = ["fio", "--output-format=json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False, env=env)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        reason = next((line for line in said if "error" in line),
                      said[0] if said else "said nothing")
        raise Failed(f"{reason} (fio {' '.join(command[2:])})")
    # notes that fio prints before its result
    return json.loads(done.stdout[done.stdout.index("{"):])


def latency_us(job):
    """Of the reads, or of the writes where there are no reads: in a mix it is
    the reads that somebody waits for."""
    side = job["read"] if job["read"]["total_ios"] else job["write"]
    found = side["lat_ns"].get("percentile", {})
    return {f"{float(p):g}": ns / 1000 for p, ns in found.items()}


def outcome(job):
    percentiles = latency_us(job)
    metrics = {"iops": job["read"]["iops"] + job["write"]["iops"]}
    for p in ("50", "99", "99.9"):
        metrics[f"p{p}_us"] = percentiles.get(p, 0)
    return Outcome(metrics, percentiles)


def timed_job(target, mode, block_bytes, depth, connections, size, seconds):
    """What fio tells of it.  Each connection has that depth."""
    result = run([
        "--name=bench", *target, *MODES[mode], f"--bs={block_bytes}",
        f"--size={size}", f"--iodepth={depth}", f"--numjobs={connections}",
        "--group_reporting", "--time_based", f"--runtime={seconds}",
        "--lat_percentiles=1", "--clat_percentiles=0",
        "--percentile_list=" + ":".join(map(str, PERCENTILES))])
    return result["jobs"][0]


def measure(*arguments):
    """As timed_job."""
    return outcome(timed_job(*arguments))


def fill(target, size):
    run(["--name=fill", *target, "--rw=write", "--bs=1M", f"--size={size}",
         "--iodepth=4"])


def verify(system, target, size):
    """Writes, reads back, compares checksums."""
    try:
        run(["--name=verify", *target, "--rw=randwrite", "--bsrange=4k-128k",
             "--blockalign=4k", f"--size={size}", "--iodepth=16",
             "--randrepeat=0", "--verify=crc32c", "--verify_fatal=1",
             "--verify_state_save=0", "--verify_dump=0"])
    except Failed as error:
        raise Rejected(f"{system}: fio's verification failed: {error}")
