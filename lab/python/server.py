"""See start."""

import asyncio
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
    server = await asyncio.start_server(serve, "127.0.0.1", 8080, backlog=1024)
    await server.serve_forever()


asyncio.run(main())
