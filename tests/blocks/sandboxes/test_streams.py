"""Attached streams: the engine's framing comes off whatever the pieces; TLS sockets serve two threads at once."""

from __future__ import annotations

import datetime
import socket
import ssl
import struct
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from blocks.sandboxes.streams import Demultiplexer, byte_stream


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50))), st.lists(st.integers(1, 20)))
def test_demultiplexing_under_any_splitting(messages: list[tuple[int, bytes]], sizes: list[int]) -> None:
    data = b"".join(struct.pack(">BxxxL", stream, len(text)) + text for stream, text in messages)
    errors: list[bytes] = []
    demultiplexer = Demultiplexer(errors.append)
    out = []
    for size in [*sizes, len(data)]:
        out.append(demultiplexer.feed(data[:size]))
        data = data[size:]
    assert b"".join(out) == b"".join(text for stream, text in messages if stream == 1)
    assert b"".join(errors) == b"".join(text for stream, text in messages if stream == 2)


def test_bytes_that_are_no_attached_stream_are_noticed() -> None:
    with pytest.raises(ValueError, match="stream"):
        Demultiplexer(lambda _: None).feed(b"HTTP/1.1 500 Oh no\r\n")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path


@pytest.fixture
def tls_pair(tmp_path: Path) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """A connected client and server."""
    cert, key = certificate(tmp_path)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(cert, key)
    client_context = ssl.create_default_context(cafile=str(cert))
    left, right = socket.socketpair()
    made: list[ssl.SSLSocket] = []
    accepting = threading.Thread(target=lambda: made.append(server_context.wrap_socket(right, server_side=True)))
    accepting.start()
    client = client_context.wrap_socket(left, server_hostname="localhost")
    accepting.join()
    return client, made[0]


def echo(server: ssl.SSLSocket) -> None:
    """Send everything back, without reading and writing at once."""
    with server:
        while data := server.recv(1 << 16):
            server.sendall(data)


def test_tls_carries_both_directions_at_once(tls_pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    client, server = tls_pair
    threading.Thread(target=echo, args=(server,), daemon=True).start()
    stream = byte_stream(client)
    payload = bytes(range(256)) * 40_000
    received = bytearray()

    def listen() -> None:
        while len(received) < len(payload):
            data = stream.recv()
            if not data:
                return
            received.extend(data)

    reader = threading.Thread(target=listen)
    reader.start()
    stream.sendall(payload)
    reader.join(60)
    assert bytes(received) == payload
    stream.cut()
    stream.close()


@pytest.mark.parametrize("tls", [True, False])
def test_cutting_wakes_a_thread_that_reads(tls: bool, tls_pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    if tls:
        stream = byte_stream(tls_pair[0])
    else:
        near, far = socket.socketpair()
        stream = byte_stream(near)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(stream.recv()), daemon=True)
    reader.start()
    stream.cut()
    reader.join(100)
    assert heard == [b""]
    with pytest.raises(OSError, match=r"."):
        stream.sendall(b"x" * 100)
    stream.close()
    for sock in (*tls_pair, *(() if tls else (far,))):
        sock.close()
