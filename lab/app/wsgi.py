"""The application of the WSGI servers: / answers at once, /slow when the gate in the working folder does, /exit and /fault never."""

import ctypes
import os
import socket

BODY = b"x" * 150


def wait_at_the_gate():
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect("gate")
        gate.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        while gate.recv(4096):
            pass


def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        wait_at_the_gate()
    if environ["PATH_INFO"] == "/exit":
        os._exit(1)
    if environ["PATH_INFO"] == "/fault":
        ctypes.string_at(0)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))])
    return [BODY]
