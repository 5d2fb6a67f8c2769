"""The application of the ASGI servers: / answers at once, /slow when the gate in the working folder does."""

import asyncio

BODY = b"x" * 150

# Tasks that wait at the gate. Where a server itself keeps no reference to a task (hypercorn 0.13), a task that waits for its own stream is
# known to nobody else: a run of the garbage collector ends it, and the client has a 500.
WAITING = set()


async def wait_at_the_gate():
    task = asyncio.current_task()
    WAITING.add(task)
    reader, writer = await asyncio.open_unix_connection("gate")
    writer.write(b"GET /slow HTTP/1.0\r\n\r\n")
    await reader.read()
    writer.close()
    WAITING.remove(task)


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
