"""The package `websockets`: /broadcast sends each message to all clients, and any other path echoes. Prints its port."""

import asyncio
from contextlib import suppress

import lifeline  # noqa: F401
import websockets

room = set()


async def serve(socket, path):
    shared = path == "/broadcast"
    if shared:
        room.add(socket)
    # websockets raises an exception for each close code except for 1000 and 1001.
    with suppress(websockets.ConnectionClosed):
        async for message in socket:
            if shared:
                websockets.broadcast(room, message)
            else:
                await socket.send(message)
    room.discard(socket)


async def main():
    options = {"subprotocols": ["echo.v1"], "max_size": None}
    async with websockets.serve(serve, "127.0.0.1", 0, **options) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
