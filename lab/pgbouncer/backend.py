"""Answers in PostgreSQL's place: every query with nothing, and one that has `slow` in it when the gate in the working folder does."""

import socket
import struct
import threading

QUERY, END = b"Q", b"X"
# Authentication is not wanted; the settings that PgBouncer looks at; ready for a query.
SETTINGS = {"server_version": "15.0", "client_encoding": "UTF8", "DateStyle": "ISO", "TimeZone": "UTC", "standard_conforming_strings": "on"}


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


GREETING = (
    message(b"R", struct.pack("!I", 0))
    + b"".join(message(b"S", f"{name}\0{value}\0".encode()) for name, value in SETTINGS.items())
    + message(b"K", struct.pack("!II", 1, 1))
    + message(b"Z", b"I")
)
DONE = message(b"C", b"SELECT 0\0") + message(b"Z", b"I")


def taken(client, length):
    taken = b""
    while len(taken) < length:
        more = client.recv(length - len(taken))
        if not more:
            raise EOFError
        taken += more
    return taken


def wait_at_the_gate():
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect("gate")
        gate.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        while gate.recv(4096):
            pass


def serve(client):
    try:
        (length,) = struct.unpack("!I", taken(client, 4))
        taken(client, length - 4)
        client.sendall(GREETING)
        while True:
            kind = taken(client, 1)
            (length,) = struct.unpack("!I", taken(client, 4))
            body = taken(client, length - 4)
            if kind == END:
                break
            if kind == QUERY:
                if b"slow" in body:
                    wait_at_the_gate()
                client.sendall(DONE)
    except (EOFError, OSError):
        pass  # PgBouncer ended first.
    client.close()


with socket.create_server(("127.0.0.1", 5432)) as server:
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
