"""Free TCP ports on the loopback address."""

import random
import socket

HOST = "127.0.0.1"
# Below the range that systems hand out for outgoing connections: a port from there could be taken by any client
# between our look and the server's bind, or while a server is being restarted.
LOWEST, HIGHEST = 20_000, 32_000
TRIES = 200


def is_free(port: int) -> bool:
    """True if nothing listens on `port` of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that nothing listens on, chosen at random. Raises OSError if none is found."""
    # SystemRandom: forked or equally seeded processes must not all choose the same one.
    chooser = random.SystemRandom()
    for _ in range(TRIES):
        port = chooser.randrange(LOWEST, HIGHEST)
        if is_free(port):
            return port
    raise OSError(f"no free port between {LOWEST} and {HIGHEST} in {TRIES} tries")


def answers(port: int, timeout_s: float = 1.0) -> bool:
    """True if something accepts connections on `port` of the loopback address."""
    try:
        socket.create_connection((HOST, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True
