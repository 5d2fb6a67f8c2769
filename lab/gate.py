#!/usr/bin/python3
"""Holds the slow requests of a lab server, and answers each after some seconds: gate.py FOLDER SECONDS."""

import os
import socket
import sys
import threading
import time

ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nlate\n"


def hold(taken, seconds):
    taken.recv(65536)
    time.sleep(seconds)
    try:
        taken.sendall(ANSWER)
    except OSError:
        pass  # The server gave up first: that is what a lab is for.
    taken.close()


def main():
    folder, seconds = sys.argv[1], float(sys.argv[2])
    path = os.path.join(folder, "gate")
    if os.path.exists(path):
        os.unlink(path)
    gate = socket.socket(socket.AF_UNIX)
    gate.bind(path)
    os.chmod(path, 0o777)
    gate.listen(1024)
    while True:
        taken, _ = gate.accept()
        threading.Thread(target=hold, args=(taken, seconds), daemon=True).start()


main()
