"""What a running plugin or memory server tells on its control socket."""

import json
import socket

from lib.errors import Failed, Rejected


def ask(path):
    """Its status."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(str(path))
            s.sendall(b"status\n")
            s.shutdown(socket.SHUT_WR)
            text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    except OSError as error:
        raise Failed(f"{path} does not answer: {error.strerror or error}")
    return json.loads(text)


def check_errors(system, status, transport):
    """Figures of requests that failed, or that went another way than they
    claim to, are worth nothing."""
    errors = status["errors"]
    if errors:
        raise Rejected(f"{system}: {errors} requests failed")
    lost = status["pages_lost_ever"]
    if lost:
        raise Rejected(f"{system}: {lost} pages were lost")
    carried = {server["transport"] for server in status["servers"]}
    if carried != {transport}:
        raise Rejected(f"{system}: moved over {', '.join(sorted(carried))}, "
                       f"not {transport}")
