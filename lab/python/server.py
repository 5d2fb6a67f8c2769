"""See start."""

import asyncio
import ctypes
import os
import signal
import socket
import sys

BODY = b"x" * 150
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


async def serve(reader, writer):
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            break
        if head.startswith(b"GET /slow"):
            gate, asked = await asyncio.open_unix_connection("gate")
            asked.write(b"GET /slow HTTP/1.0\r\n\r\n")
            await gate.read()
            asked.close()
        writer.write(ANSWER)
        await writer.drain()
    writer.close()


async def main():
    if sys.argv[1] == "ignores":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server = await listen()
    if sys.argv[1] == "reopens":
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told.set)
        await told.wait()
        server.close()
        await asyncio.sleep(0.2)
        server = await listen()
    await asyncio.Event().wait()


def listen():
    return asyncio.start_server(serve, "127.0.0.1", 8080, backlog=1024)


class Master:
    """It has one worker, and listens for it."""

    PR_SET_NAME = 15

    def __init__(self, name):
        ctypes.CDLL(None).prctl(self.PR_SET_NAME, name.encode(), 0, 0, 0)
        self.listener = socket.create_server(("127.0.0.1", 8080), backlog=1024)
        self.came, came = os.pipe()
        os.set_blocking(came, False)
        signal.set_wakeup_fd(came)
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        self.worker = self.fork()

    def fork(self):
        worker = os.fork()
        if worker:
            return worker
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        asyncio.run(self.work())

    async def work(self):
        server = await asyncio.start_server(serve, sock=self.listener)
        await server.serve_forever()

    def run(self):
        for [number] in iter(lambda: os.read(self.came, 1), None):
            if number == signal.SIGUSR1:
                open("rotated", "w").close()
                continue
            old, self.worker = self.worker, None
            if number == signal.SIGUSR2:
                self.worker = self.fork()
            os.kill(old, signal.SIGTERM)
            os.waitpid(old, 0)
            if not self.worker:
                break


if sys.argv[1] == "forking":
    Master(sys.argv[2]).run()
    sys.exit()

if sys.argv[1] == "supervised" and os.fork():
    signal.pause()
asyncio.run(main())
