"""Free loopback ports, and the one public port held for the gateway's workers."""

import random
import socket

LOOPBACK = "127.0.0.1"
# Below every system's ephemeral range: no outgoing connection can take the port of a part
# that is being restarted.
FIRST, LAST = 20_000, 32_000
_handed_out: set[int] = set()


class PortTaken(Exception):
    """The public port is in use."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} on {LOOPBACK} is in use; choose another with --port")
        self.port = port


def free_port() -> int:
    """A port that nothing listens on, never handed out twice by this process."""
    for port in random.sample(range(FIRST, LAST), 500):
        if port not in _handed_out and is_free(port):
            _handed_out.add(port)
            return port
    raise OSError("no free port found on the loopback address")


def is_free(port: int) -> bool:
    """Whether a plain bind succeeds, as it would not beside any listener, shared or not."""
    with socket.socket() as probe:
        # Connections in TIME_WAIT must not count as a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def hold_public_port(port: int) -> socket.socket:
    """Reserve the public port without listening, so that no other program slips in."""
    port = port or free_port()
    if not is_free(port):
        raise PortTaken(port)
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        reservation.bind((LOOPBACK, port))
    except OSError:
        reservation.close()
        raise PortTaken(port) from None
    return reservation
