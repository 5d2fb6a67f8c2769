"""See start."""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import time

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
        if head.startswith(b"GET /hand-over"):
            Predecessor.one.start_successor()
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

    def __init__(self, name, patient):
        self.patient = patient
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
        os._exit(0)

    async def work(self):
        told = asyncio.Event()
        if self.patient:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        server = await asyncio.start_server(serve, sock=self.listener)
        await told.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*tasks, return_exceptions=True)

    def run(self):
        for [number] in iter(lambda: os.read(self.came, 1), None):
            if number == signal.SIGUSR1:
                open("rotated", "w").close()
                continue
            old, self.worker = self.worker, None
            reloads = number == signal.SIGUSR2
            if reloads and not self.patient:
                self.worker = self.fork()
            os.kill(old, signal.SIGTERM)
            os.waitpid(old, 0)
            if reloads and self.patient:
                self.worker = self.fork()
            if not self.worker:
                break


class Predecessor:
    """Serves until it is ended; the other has the listening socket, and knows the end by that of a pipe."""

    one = None

    def __init__(self):
        Predecessor.one = self
        self.listener = socket.create_server(("127.0.0.1", 8080), backlog=1024)
        self.over, self.lives = os.pipe()

    def start_successor(self):
        inherited = (self.listener.fileno(), self.over)
        if os.fork():
            return
        for number in inherited:
            os.set_inheritable(number, True)
        os.execv(sys.executable, [sys.executable, __file__, "takes-over", *map(str, inherited)])


def take_over(listener, over):
    os.read(over, 1)
    time.sleep(2)
    asyncio.run(serve_on(socket.socket(fileno=listener)))


async def serve_on(listener):
    server = await asyncio.start_server(serve, sock=listener)
    await server.serve_forever()


if sys.argv[1] in ("forking", "patient"):
    Master(sys.argv[2], sys.argv[1] == "patient").run()
    sys.exit()
if sys.argv[1] == "hands-over":
    asyncio.run(serve_on(Predecessor().listener))
if sys.argv[1] == "takes-over":
    take_over(int(sys.argv[2]), int(sys.argv[3]))

if sys.argv[1] == "supervised" and os.fork():
    signal.pause()
asyncio.run(main())
