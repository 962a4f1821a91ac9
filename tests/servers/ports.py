"""Loopback ports that nobody uses."""

import socket

LOOPBACK = "127.0.0.1"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that was free a moment ago; SOCK_DGRAM for UDP."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def free_even_udp_port() -> int:
    """RTP wants an even port (RFC 3550 §11)."""
    while True:
        port = free_port(socket.SOCK_DGRAM)
        if port % 2 == 0:
            return port


def answers(port: int, request: bytes, reply: bytes) -> bool:
    """Whether what listens on `port` answers `request` with something that holds `reply`."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(request)
            return reply in connection.recv(4096)
    except OSError:
        return False
