"""The application of the ASGI servers: / answers at once, /slow when the gate in the working folder does."""

import asyncio

BODY = b"x" * 150


async def wait_at_the_gate():
    reader, writer = await asyncio.open_unix_connection("gate")
    writer.write(b"GET /slow HTTP/1.0\r\n\r\n")
    await reader.read()
    writer.close()


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/slow":
        await wait_at_the_gate()
    head = [(b"content-type", b"text/plain"), (b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": BODY})
