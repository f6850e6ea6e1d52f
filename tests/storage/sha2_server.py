"""A stand-in for MySQL's way to sign in, `caching_sha2_password`, in front of a MariaDB server.

It greets as MySQL 8 does, checks the password as MySQL's manual says ("Caching SHA-2 Pluggable
Authentication", and the protocol's "caching_sha2_password information"), and then passes every
byte on between the client and MariaDB, where it signs in as root. What a client asks from then on
is answered by a real server.
"""

import hashlib
import os
import select
import socket
import ssl
import struct
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

PLUGIN = b"caching_sha2_password"
TLS = 0x800
# What it can do: found rows, protocol 4.1, several statements and results, plugins, a result's
# end in an OK packet, as MySQL 8 can; and nothing that MariaDB alone can.
CAPABILITIES = 0x1 | 0x2 | 0x4 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x3_0000 | 0x8_0000 | 0x120_0000
# What is agreed on with the client is no matter of the server behind.
OF_THE_SIGN_IN = TLS | 0x10_0000 | 0x20_0000
REQUEST_KEY, FAST_DONE, SEND_PASSWORD = b"\x02", b"\x01\x03", b"\x01\x04"
OK = b"\x00\x00\x00\x02\x00\x00\x00"
LIMIT = 10.0


class Sha2Server:
    """Lets `user` in with `password`; use it as a context manager.

    `ways` tells how each one who came signed in: `fast`, `rsa` or `tls`, with ` refused` behind
    where the password was wrong. `forget` empties the cache, as a restart of MySQL would: the next
    one has to send the password whole.
    """

    def __init__(
        self, behind: Path, *, user: str, password: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self.ways: deque[str] = deque()
        self._behind = behind
        self._user = user.encode()
        self._password = password.encode()
        self._tls = tls
        self._cached = False
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Only a shutdown wakes a thread that waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive()

    def forget(self) -> None:
        """Empty the cache."""
        self._cached = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        # A client that goes away in the midst of it is no fault of the stand-in.
        with suppress(ConnectionError, ssl.SSLError):
            client.settimeout(LIMIT)
            salt = bytes(33 + byte % 90 for byte in os.urandom(20))
            line = Line(client)
            line.send(self._greeting(salt))
            answer = line.receive()
            if len(answer) == 32:
                assert self._tls
                line.wire = client = self._tls.wrap_socket(client, server_side=True)
                answer = line.receive()
            flags, _, charset = struct.unpack_from("<IIB", answer)
            user, _, rest = answer[32:].partition(b"\0")
            proof, rest = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
            database = rest.partition(b"\0")[0]
            way = self._sign_in(line, salt, user, proof)
            if way.endswith(" refused"):
                said = f"Access denied for user '{user.decode()}'@'127.0.0.1' (using password: YES)"
                line.send(b"\xff" + struct.pack("<H", 1045) + b"#28000" + said.encode())
            else:
                self._pass_on(line, flags & ~OF_THE_SIGN_IN, charset, database)
        client.close()

    def _greeting(self, salt: bytes) -> bytes:
        flags = CAPABILITIES | (TLS if self._tls else 0)
        return (
            b"\x0a8.0.46\0" + struct.pack("<I", 7) + salt[:8] + b"\0"
            + struct.pack("<HBHHB", flags & 0xFFFF, 255, 2, flags >> 16, 21)
            + bytes(10) + salt[8:] + b"\0" + PLUGIN + b"\0"
        )  # fmt: skip

    def _sign_in(self, line: "Line", salt: bytes, user: bytes, proof: bytes) -> str:
        way = "fast" if self._cached else "tls" if isinstance(line.wire, ssl.SSLSocket) else "rsa"
        if way == "fast":
            right = proof == _scrambled(self._password, salt)
            if right:
                line.send(FAST_DONE)
        else:
            line.send(SEND_PASSWORD)
            right = self._whole_password(line, salt) == self._password
        right = right and user == self._user
        self._cached = self._cached or right
        way = way if right else f"{way} refused"
        self.ways.append(way)
        return way

    def _whole_password(self, line: "Line", salt: bytes) -> bytes:
        """The password as the client sends it: in the clear through TLS, else encrypted."""
        sent = line.receive()
        if not isinstance(line.wire, ssl.SSLSocket):
            assert sent == REQUEST_KEY
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            public = self._key.public_key().public_bytes(serialization.Encoding.PEM, form)
            line.send(b"\x01" + public)
            mask = padding.MGF1(algorithm=hashes.SHA1())
            scheme = padding.OAEP(mgf=mask, algorithm=hashes.SHA1(), label=None)
            masked = self._key.decrypt(line.receive(), scheme)
            sent = bytes(byte ^ salt[place % 20] for place, byte in enumerate(masked))
        assert sent.endswith(b"\0")
        return sent[:-1]

    def _pass_on(self, line: "Line", flags: int, charset: int, database: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(LIMIT)
            wire.connect(str(self._behind))
            server = Line(wire)
            server.receive()
            answer = struct.pack("<IIB23x", flags, 2**24 - 1, charset) + b"root\0\0"
            server.send(answer + database + b"\0mysql_native_password\0")
            while (said := server.receive())[0] == 0xFE:
                server.send(b"")  # the password, in another plugin's words
            if said[0] == 0xFF:
                line.send(said)
                return
            line.send(OK)
            _relay(line.wire, wire)


class Line:
    """Packets over a socket, which are numbered."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self._number = 0

    def send(self, payload: bytes) -> None:
        self.wire.sendall(struct.pack("<I", len(payload))[:3] + bytes([self._number]) + payload)
        self._number += 1

    def receive(self) -> bytes:
        """The next packet; no byte more than that is read, since what follows may be TLS's."""
        head = self._exactly(4)
        self._number = head[3] + 1
        return self._exactly(int.from_bytes(head[:3], "little"))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.wire.recv(count - len(data))
            if not more:
                raise ConnectionError("it went away")
            data += more
        return data


def _scrambled(password: bytes, salt: bytes) -> bytes:
    """XOR(SHA256(password), SHA256(SHA256(SHA256(password)), salt))."""
    once = hashlib.sha256(password).digest()
    twice = hashlib.sha256(hashlib.sha256(once).digest() + salt).digest()
    return bytes(a ^ b for a, b in zip(once, twice, strict=True))


def _relay(client: socket.socket, server: socket.socket) -> None:
    """Pass bytes on until either is done."""
    others = {client: server, server: client}
    while True:
        # What TLS has decrypted already, no select sees.
        pending = isinstance(client, ssl.SSLSocket) and client.pending() > 0
        ready = [client] if pending else select.select(list(others), [], [])[0]
        for wire in ready:
            data = wire.recv(65536)
            if not data:
                return
            others[wire].sendall(data)
