"""recvmmsg and sendmmsg through cffi's ABI mode: many datagrams a system call, no compiler needed."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

import cffi

ffi = cffi.FFI()
ffi.cdef(
    """
struct iovec { void *iov_base; size_t iov_len; };
struct msghdr {
    void *msg_name; unsigned int msg_namelen; struct iovec *msg_iov; size_t msg_iovlen;
    void *msg_control; size_t msg_controllen; int msg_flags;
};
struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
int recvmmsg(int, struct mmsghdr *, unsigned int, int, void *);
int sendmmsg(int, struct mmsghdr *, unsigned int, int);
"""
)
libc: Any = ffi.dlopen(None)

SOCKADDR_SIZE = 16
"""sizeof(struct sockaddr_in); this version of the plane is IPv4 only."""

ADDRESS_KEY = slice(2, 8)
"""The bytes of a sockaddr_in that tell peers apart: port and address."""

SOL_UDP = 17
UDP_SEGMENT = 103
SOCKET_BUFFER = 4 << 20

SEGMENTATION_REFUSED = frozenset(
    {errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EMSGSIZE}
)
"""What sendmmsg says where UDP segmentation offload does not work after all."""

_IN = struct.Struct("=H2s4s8x")


def pack_address(host: str, port: int) -> bytes:
    """`struct sockaddr_in` of an IPv4 host and port."""
    return _IN.pack(socket.AF_INET, port.to_bytes(2, "big"), socket.inet_aton(host))


def unpack_address(raw: bytes) -> tuple[str, int]:
    """Host and port of a `struct sockaddr_in`."""
    _, port, host = _IN.unpack(raw)
    return socket.inet_ntoa(host), int.from_bytes(port, "big")


def open_socket(host: str, port: int) -> socket.socket:
    """A non-blocking UDP socket with large buffers. Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def segmentation_offload(sock: socket.socket) -> bool:
    """Whether the kernel knows UDP_SEGMENT (Linux 4.18); sending may still refuse it later."""
    try:
        return sock.getsockopt(SOL_UDP, UDP_SEGMENT) >= 0
    except OSError:
        return False
