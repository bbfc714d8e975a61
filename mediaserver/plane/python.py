"""The forwarding loop in pure Python: one UDP socket, recvmmsg in, libsrtp in place, sendmmsg out.

House style yields here to speed, and `tests/bench/forwarding.py` shows what for: everything is ints,
memoryviews and C pointers; locals are bound before loops; packets are never turned into objects. A
received packet is unprotected in its receive slot, its header extensions are cleaned once, a copy
goes into the history (for NACK) and to the sinks, and for each subscriber a slot of the send arena
gets the packet, a new 12-byte header, and SRTP. Consecutive packets of one size to one peer leave as
one segmented datagram (UDP_SEGMENT) where the kernel can.

Not thread-safe: one loop owns a plane (libsrtp contexts must not be shared between threads).
"""

from __future__ import annotations

import errno
import logging
import select
import socket
import struct
import time
from typing import Any

from mediaserver.plane.api import PlaneCounters, PlaneOwner
from mediaserver.plane.libc import (
    ADDRESS_KEY,
    SEGMENTATION_REFUSED,
    SOCKADDR_SIZE,
    SOL_UDP,
    UDP_SEGMENT,
    ffi,
    libc,
    pack_address,
    segmentation_offload,
    unpack_address,
)
from mediaserver.plane.streams import HISTORY_MASK, Element, Inbound, Link, Outbound
from mediaserver.rtp.header import FIXED_HEADER, element_head, elements
from mediaserver.transport import srtp

logger = logging.getLogger(__name__)

MSG_DONTWAIT = 0x40
RECEIVE_BATCH = 64
RECEIVE_SLOT = 2048
SEND_BATCH = 256
SEND_SLOT = RECEIVE_SLOT + 64
MAX_SEGMENTS = 50
"""Packets merged into one segmented send; the kernel allows 64 and 64 KiB."""

MAX_UNCLAIMED = 64
"""SSRCs of a peer that nobody claimed and that are remembered, so as not to ask again."""

SEND_WAIT_MS = 2
"""Patience with a full socket buffer before packets are dropped (and counted)."""

LOGGED_FAILURES = 20

NO_EXTENSIONS: list[Element] = []

_CONTROL_SIZE = 24
_CONTROL = struct.Struct("=QiiH6x")  # struct cmsghdr and its u16 segment size

_unpack_header = FIXED_HEADER.unpack_from
_pack_header = FIXED_HEADER.pack_into
_pack_segment = struct.Struct("=H").pack_into


class PyPlane:
    """The plane. `poll` is to be called whenever the socket is readable."""

    name = "python"

    def __init__(
        self, sock: socket.socket, owner: PlaneOwner, *, segmentation: bool | None = None
    ) -> None:
        self.sock = sock
        self.owner = owner
        self.counters = PlaneCounters()
        self.segmentation = segmentation_offload(sock) if segmentation is None else segmentation
        self._segmented = self.segmentation
        self._fd = sock.fileno()
        self._links: dict[bytes, Link] = {}
        self._unix_offset_us = int((time.time() - time.monotonic()) * 1e6)
        self._length = srtp.ffi.new("int *")
        self._receive_arena()
        self._send_arena()

    def unix_us(self, now: float) -> int:
        """Unix time in microseconds of a monotonic time in seconds.

        One line for the life of the plane: all times in a journal come from here, so that a step of
        the wall clock never tears packets and sender reports apart.
        """
        return int(now * 1e6) + self._unix_offset_us

    def _failed(self) -> None:
        self.counters.failures += 1
        if self.counters.failures <= LOGGED_FAILURES:
            logger.exception("moving packets failed; what was in hand is dropped")

    def _receive_arena(self) -> None:
        count = RECEIVE_BATCH
        self._in_buffer = ffi.new("char[]", count * RECEIVE_SLOT)
        self._in_view = memoryview(ffi.buffer(self._in_buffer))
        base = srtp.ffi.cast("char *", int(ffi.cast("uintptr_t", self._in_buffer)))
        self._in_pointers = [base + i * RECEIVE_SLOT for i in range(count)]
        self._in_names = ffi.new("char[]", count * SOCKADDR_SIZE)
        self._in_names_view = ffi.buffer(self._in_names)
        self._in_messages = ffi.new("struct mmsghdr[]", count)
        self._in_message_list = [self._in_messages[i] for i in range(count)]
        self._in_vectors = ffi.new("struct iovec[]", count)
        for i in range(count):
            self._in_vectors[i].iov_base = self._in_buffer + i * RECEIVE_SLOT
            self._in_vectors[i].iov_len = RECEIVE_SLOT
            header = self._in_messages[i].msg_hdr
            header.msg_iov, header.msg_iovlen = self._in_vectors + i, 1
            header.msg_name = self._in_names + SOCKADDR_SIZE * i
            header.msg_namelen = SOCKADDR_SIZE

    def _send_arena(self) -> None:
        count = SEND_BATCH
        self._out_buffer = ffi.new("char[]", count * SEND_SLOT)
        self._out_view = memoryview(ffi.buffer(self._out_buffer))
        base = srtp.ffi.cast("char *", int(ffi.cast("uintptr_t", self._out_buffer)))
        self._out_pointers = [base + i * SEND_SLOT for i in range(count)]
        self._out_messages = ffi.new("struct mmsghdr[]", count)
        self._out_headers = [self._out_messages[i].msg_hdr for i in range(count)]
        self._out_vectors = ffi.new("struct iovec[]", count)
        self._out_vector_list = [self._out_vectors[i] for i in range(count)]
        self._out_vector_pointers = [self._out_vectors + i for i in range(count)]
        self._controls = ffi.new("char[]", count * _CONTROL_SIZE)
        self._controls_view = memoryview(ffi.buffer(self._controls))
        self._control_pointers = [self._controls + _CONTROL_SIZE * i for i in range(count)]
        for i in range(count):
            self._out_vectors[i].iov_base = self._out_buffer + i * SEND_SLOT
            _CONTROL.pack_into(self._controls_view, _CONTROL_SIZE * i, 18, SOL_UDP, UDP_SEGMENT, 0)
            self._out_headers[i].msg_iov, self._out_headers[i].msg_iovlen = (
                self._out_vectors + i,
                1,
            )
            self._out_headers[i].msg_namelen = SOCKADDR_SIZE
        self._scratch = srtp.ffi.new("char[]", SEND_SLOT)
        self._scratch_view = memoryview(srtp.ffi.buffer(self._scratch))

    # --- who is who

    def add_address(self, link: Link, host: str, port: int, *, limit: int = 8) -> None:
        """Accept packets of `link` from an address that ICE has verified."""
        key = pack_address(host, port)[ADDRESS_KEY]
        if self._links.get(key) is link:
            return
        if len(link.addresses) >= limit:
            target = pack_address(*link.target)[ADDRESS_KEY] if link.target else b""
            oldest = next(each for each in link.addresses if each != target)
            link.addresses.remove(oldest)
            if self._links.get(oldest) is link:
                del self._links[oldest]
        link.addresses.append(key)
        self._links[key] = link

    def aim(self, link: Link, host: str, port: int) -> None:
        """ICE nominated this address: send there.

        A link that is secure already turns only when SRTCP that authenticates came from there too:
        a check alone could come with a forged source and point the media at a stranger.
        """
        self.add_address(link, host, port)
        if link.tx is None or link.target is None:
            self._point(link, pack_address(host, port))
        else:
            link.pending = pack_address(host, port)[ADDRESS_KEY]

    def _point(self, link: Link, address: bytes) -> None:
        link.pending = b""
        link.target = unpack_address(address)
        ffi.buffer(link.sockaddr)[:] = address

    def secure(self, link: Link, rx: srtp.Session, tx: srtp.Session, trailer: int) -> None:
        """Give the link its SRTP sessions; `trailer` is the bytes that protecting an RTP packet adds."""
        link.keep = (rx, tx)
        link.rx, link.tx, link.trailer = srtp.handle(rx), srtp.handle(tx), trailer

    def remove_link(self, link: Link) -> None:
        for key in link.addresses:
            if self._links.get(key) is link:
                del self._links[key]
        link.addresses.clear()
        link.rx = link.tx = None
        link.keep = ()

    def link_at(self, address: bytes) -> Link | None:
        """Whose verified address this sockaddr is."""
        return self._links.get(address[ADDRESS_KEY])

    # --- streams

    def attach(self, stream: Inbound, out: Outbound) -> None:
        """Forward `stream` to `out` from its next keyframe on."""
        out.inbound = stream
        stream.waiting.append(out)
        stream.watch = True

    def detach(self, out: Outbound) -> None:
        """Stop forwarding; `attach` goes on later without a gap in sequence numbers."""
        stream = out.inbound
        if stream is None:
            return
        out.inbound = None
        if out in stream.outs:
            stream.outs.remove(out)
            out.next_output = (stream.expected + out.seq_off) & 0xFFFF
        elif out in stream.waiting:
            stream.waiting.remove(out)

    def replace(self, old: Inbound, new: Inbound) -> None:
        """The publisher's SSRC changed: its subscribers go over to `new` at a keyframe."""
        for out in [*old.outs, *old.waiting]:
            if out in old.outs:
                out.splice = (old.last_timestamp + out.ts_off, old.last_time)
            self.detach(out)
            self.attach(new, out)
        new.sinks, old.sinks = old.sinks, []
        new.watch_always = old.watch_always
        new.watch = new.watch or new.watch_always

    # --- the loop

    def poll(self) -> int:
        """Move one batch; the number of datagrams received."""
        n: int = libc.recvmmsg(self._fd, self._in_messages, RECEIVE_BATCH, MSG_DONTWAIT, ffi.NULL)
        if n <= 0:
            return 0
        names = self._in_names_view[0 : n * SOCKADDR_SIZE]
        now = time.monotonic()
        arrival_us = self.unix_us(now)
        work: list[Inbound] = []
        self.counters.received += n
        try:
            self._take(n, names, work, now, arrival_us)
            if work:
                self._forward(work)
        except Exception:  # noqa: BLE001 - supervisor: the loop goes on
            self._failed()
        finally:
            for stream in work:
                stream.batch.clear()  # empty already, unless something above failed
        return n

    def _take(self, n: int, names: bytes, work: list[Inbound], now: float, arrival_us: int) -> None:
        """Decrypt, sort out and account for a received batch; fill the streams' batches."""
        counters, owner, links = self.counters, self.owner, self._links
        view, pointers, messages = self._in_view, self._in_pointers, self._in_message_list
        length, unprotect, header = self._length, srtp.unprotect, _unpack_header
        for i in range(n):
            try:
                offset = i * RECEIVE_SLOT
                size = messages[i].msg_len
                if size < 12:
                    counters.malformed += 1
                    continue
                b0, b1, sequence, timestamp, ssrc = header(view, offset)
                link = links.get(names[16 * i + 2 : 16 * i + 8])
                if not 127 < b0 < 192:
                    owner.on_control(
                        view[offset : offset + size].tobytes(), names[16 * i : 16 * i + 16]
                    )
                    continue
                if link is None or link.rx is None:
                    counters.unknown_source += 1
                    continue
                if 191 < b1 < 224:
                    self._receive_rtcp(link, i, offset, size, names[16 * i + 2 : 16 * i + 8])
                    continue
                stream = link.inbounds.get(ssrc)
                if stream is None and len(link.unclaimed) >= MAX_UNCLAIMED:
                    continue  # before libsrtp makes a context for it
                length[0] = size
                if unprotect(link.rx, pointers[i], length):
                    counters.unprotect_errors += 1
                    continue
                size = length[0]
                if stream is None:
                    stream = self._unknown(link, ssrc, view[offset : offset + size].tobytes())
                    if stream is None:
                        continue
                if b1 & 0x7F != stream.payload_type:
                    continue
                extensions = self._clean(stream, offset, size) if b0 & 0x10 else NO_EXTENSIONS
                data = view[offset : offset + size].tobytes()
                stream.packets += 1
                stream.octets += size - 12
                stream.history[sequence & HISTORY_MASK] = data
                for sink in stream.sinks:
                    sink(arrival_us, data)
                if sequence != stream.expected and not self._in_order(stream, sequence):
                    self._late(stream, sequence, data)
                    continue
                stream.expected = (sequence + 1) & 0xFFFF
                if timestamp != stream.last_timestamp:
                    self._frame_start(stream, sequence, timestamp, now, data)
                if stream.outs:
                    if not stream.batch:
                        work.append(stream)
                    stream.batch.append(
                        (pointers[i], size, b0, b1 & 0x80, sequence, timestamp, extensions)
                    )
            except Exception:  # noqa: BLE001 - supervisor: one packet must not cost others
                self._failed()

    def _forward(self, work: list[Inbound]) -> None:
        slot = message = 0
        pointers, view = self._out_pointers, self._out_view
        vectors, vector_pointers = self._out_vector_list, self._out_vector_pointers
        headers, controls, controls_view = (
            self._out_headers,
            self._control_pointers,
            self._controls_view,
        )
        segmentation, length, protect = self.segmentation, self._length, srtp.protect
        memmove, pack, null = srtp.ffi.memmove, _pack_header, ffi.NULL
        w: Any = None
        for stream in work:
            batch = stream.batch
            if not batch:
                continue
            octets = sum([entry[1] for entry in batch]) - 12 * len(batch)
            for out in stream.outs:
                if slot + len(batch) > SEND_BATCH:
                    self._flush(message, slot)
                    slot = message = 0
                link = out.link
                tx, trailer, sockaddr = link.tx, link.trailer, link.sockaddr
                ssrc, payload_type, remap = out.ssrc, out.payload_type, out.remap
                seq_off, ts_off = out.seq_off, out.ts_off
                run = run_size = 0
                for pointer, size, b0, marker, sequence, timestamp, extensions in batch:
                    target, offset = pointers[slot], slot * SEND_SLOT
                    memmove(target, pointer, size)
                    pack(
                        view, offset, b0, marker | payload_type, (sequence + seq_off) & 0xFFFF,
                        (timestamp + ts_off) & 0xFFFFFFFF, ssrc,
                    )  # fmt: skip
                    if extensions and remap:
                        _rename(view, offset, extensions, remap)
                    length[0] = size
                    if tx is None or protect(tx, target, length):
                        self.counters.protect_errors += 1
                        continue
                    size += trailer
                    vectors[slot].iov_len = size
                    if segmentation and run and size == run_size and run < MAX_SEGMENTS:
                        run += 1
                    else:
                        if run > 1:
                            w.msg_iovlen = run
                            w.msg_control, w.msg_controllen = controls[message - 1], _CONTROL_SIZE
                            _pack_segment(
                                controls_view, _CONTROL_SIZE * (message - 1) + 16, run_size
                            )
                        w = headers[message]
                        w.msg_name, w.msg_iov, w.msg_iovlen = sockaddr, vector_pointers[slot], 1
                        if segmentation:
                            w.msg_control, w.msg_controllen = null, 0
                        message += 1
                        run, run_size = 1, size
                    slot += 1
                if run > 1:
                    w.msg_iovlen = run
                    w.msg_control, w.msg_controllen = controls[message - 1], _CONTROL_SIZE
                    _pack_segment(controls_view, _CONTROL_SIZE * (message - 1) + 16, run_size)
                out.packets += len(batch)
                out.octets += octets
            batch.clear()
        if slot:
            self._flush(message, slot)

    def _flush(self, messages: int, packets: int) -> None:
        """Send `messages` prepared messages that hold `packets` packets."""
        counters = self.counters
        counters.forwarded += packets
        counters.messages_sent += messages
        done = waited = 0
        while done < messages:
            sent = libc.sendmmsg(self._fd, self._out_messages + done, messages - done, MSG_DONTWAIT)
            if sent > 0:
                done += sent
                continue
            code = ffi.errno
            if code in (errno.EAGAIN, errno.ENOBUFS):
                if waited or not self._wait_writable():
                    counters.send_dropped += messages - done
                    return
                waited = 1
            elif code in SEGMENTATION_REFUSED and self._out_headers[done].msg_iovlen > 1:
                self.segmentation = False
                self._send_one_by_one(done)
                done += 1
            elif code != errno.EINTR:
                counters.send_dropped += 1  # this receiver's trouble (EPERM, EHOSTUNREACH, ...)
                done += 1
        if self._segmented and not self.segmentation:
            self._segmented = False
            for header in self._out_headers:
                header.msg_control, header.msg_controllen = ffi.NULL, 0

    def _wait_writable(self) -> bool:
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        return bool(poller.poll(SEND_WAIT_MS))

    def _send_one_by_one(self, index: int) -> None:
        """Send a segmented message's packets as datagrams of their own."""
        header = self._out_headers[index]
        address = unpack_address(bytes(ffi.buffer(header.msg_name, SOCKADDR_SIZE)))
        for segment in range(header.msg_iovlen):
            vector = header.msg_iov[segment]
            self.send(bytes(ffi.buffer(vector.iov_base, vector.iov_len)), address)

    # --- less hot

    def _receive_rtcp(self, link: Link, i: int, offset: int, size: int, key: bytes) -> None:
        self._length[0] = size
        if srtp.unprotect_rtcp(link.rx, self._in_pointers[i], self._length):
            self.counters.unprotect_errors += 1
            return
        if key == link.pending:
            self._point(link, bytes(self._in_names_view[16 * i : 16 * (i + 1)]))
        self.owner.on_rtcp(link, self._in_view[offset : offset + self._length[0]].tobytes())

    def _unknown(self, link: Link, ssrc: int, packet: bytes) -> Inbound | None:
        if ssrc in link.unclaimed or len(link.unclaimed) >= MAX_UNCLAIMED:
            return None
        if not self.owner.on_unknown_stream(link, ssrc, packet):
            link.unclaimed.add(ssrc)
            return None
        return link.inbounds.get(ssrc)

    def _clean(self, stream: Inbound, offset: int, size: int) -> list[Element]:
        """Zero (RFC 8285 padding) the extension elements nobody may see; the others' places."""
        view, kept = self._in_view, stream.kept
        left: list[Element] = []
        head = 0
        for identifier, position, length in elements(view, size, offset):
            head = head or element_head(view, offset)
            if identifier in kept:
                left.append((identifier, position, length, head))
            else:
                start = offset + position - head
                view[start : start + head + length] = bytes(head + length)
        return left

    def _in_order(self, stream: Inbound, sequence: int) -> bool:
        """A packet that is not the one expected: False when it is older than the newest."""
        if not stream.started:
            stream.started = True
            stream.first = sequence
            return True
        skipped = (sequence - stream.expected) & 0xFFFF
        if skipped >= 0x8000:
            return False
        self.owner.on_missing(stream, stream.expected, skipped)
        return True

    def _late(self, stream: Inbound, sequence: int, data: bytes) -> None:
        self.owner.on_late(stream, sequence)
        if stream.batch:
            self._forward([stream])
        for out in stream.outs:
            number = out.map.to_output(sequence)
            if number is not None:
                self._send_copy(out, data, number)

    def _frame_start(
        self, stream: Inbound, sequence: int, timestamp: int, now: float, data: bytes
    ) -> None:
        """A packet with a new timestamp: jitter (RFC 3550, A.8), and keyframes if wanted."""
        if stream.last_timestamp >= 0:
            ticks = (timestamp - stream.last_timestamp) & 0xFFFFFFFF
            if ticks < 0x80000000:
                transit = abs((now - stream.last_time) * stream.clock_rate - ticks)
                stream.jitter += (transit - stream.jitter) / 16
        stream.last_timestamp, stream.last_time = timestamp, now
        if not stream.watch or not stream.is_keyframe(data):
            return
        if stream.waiting:
            if stream.batch:
                self._forward([stream])
            for out in stream.waiting:
                self._begin(out, stream, sequence, timestamp, now)
            stream.waiting.clear()
        stream.watch = stream.watch_always
        self.owner.on_keyframe(stream)

    @staticmethod
    def _begin(out: Outbound, stream: Inbound, sequence: int, timestamp: int, now: float) -> None:
        out.map.start(sequence, out.next_output)
        out.seq_off = out.map.offset
        if out.splice is not None:
            last, when = out.splice
            out.ts_off = int(last + (now - when) * stream.clock_rate) - timestamp
            out.splice = None
        stream.outs.append(out)

    def retransmit(self, out: Outbound, output_sequence: int) -> bool:
        """Answer a NACK from the history; False when the packet is no longer there."""
        stream, sequence = out.inbound, out.map.to_input(output_sequence)
        if stream is None or sequence is None:
            return False
        data = stream.history[sequence & HISTORY_MASK]
        if data is None or (data[2] << 8 | data[3]) != sequence:
            return False
        self._send_copy(out, data, output_sequence)
        self.counters.retransmitted += 1
        return True

    def _send_copy(self, out: Outbound, data: bytes, number: int) -> None:
        if out.link.tx is None or out.link.target is None:
            return
        view, size = self._scratch_view, len(data)
        srtp.ffi.memmove(self._scratch, data, size)
        b0, b1, _, timestamp, _ = _unpack_header(data)
        timestamp = (timestamp + out.ts_off) & 0xFFFFFFFF
        _pack_header(view, 0, b0, b1 & 0x80 | out.payload_type, number, timestamp, out.ssrc)
        if b0 & 0x10 and out.remap:
            head = element_head(data)
            places = [(name, at, length, head) for name, at, length in elements(data, size)]
            _rename(view, 0, places, out.remap)
        self._length[0] = size
        if srtp.protect(out.link.tx, self._scratch, self._length):
            self.counters.protect_errors += 1
            return
        self.send(view[: self._length[0]], out.link.target)

    def send_rtcp(self, link: Link, data: bytes) -> None:
        """Protect and send an RTCP compound; nothing happens before the link is secure."""
        if link.tx is None or link.target is None or len(data) > SEND_SLOT - srtp.MAX_TRAILER:
            return
        srtp.ffi.memmove(self._scratch, data, len(data))
        self._length[0] = len(data)
        if srtp.protect_rtcp(link.tx, self._scratch, self._length):
            self.counters.protect_errors += 1
            return
        self.send(self._scratch_view[: self._length[0]], link.target)

    def send(self, data: bytes | memoryview, address: tuple[str, int]) -> None:
        """One datagram as it is (STUN, DTLS); dropped when the socket is full."""
        try:
            self.sock.sendto(data, address)
        except OSError:
            self.counters.send_dropped += 1


def _rename(
    view: memoryview,
    offset: int,
    extensions: list[Element],
    remap: dict[int, int],
) -> None:
    """Give extension elements the subscriber's ids; those it did not negotiate become padding."""
    for identifier, position, length, head in extensions:
        name = remap.get(identifier, identifier)
        start = offset + position - head
        if not name or (head == 1 and name > 14):  # the one-byte form has no such id
            view[start : start + head + length] = bytes(head + length)
        elif head == 1:
            view[start] = name << 4 | (length - 1)
        else:
            view[start] = name
