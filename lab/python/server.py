"""See start."""

import asyncio
import os
import signal
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


if sys.argv[1] == "supervised" and os.fork():
    signal.pause()
asyncio.run(main())
