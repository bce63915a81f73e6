"""aiohttp: /broadcast sends each message to all clients, and any other path echoes. Prints its port."""

import asyncio
from contextlib import suppress

import lifeline  # noqa: F401
from aiohttp import WSMsgType, web

room = set()


def send(socket, message):
    return socket.send_str(message.data) if message.type == WSMsgType.TEXT else socket.send_bytes(message.data)


async def serve(request):
    socket = web.WebSocketResponse(protocols=["echo.v1"], max_msg_size=0)
    await socket.prepare(request)
    shared = request.path == "/broadcast"
    if shared:
        room.add(socket)
    try:
        async for message in socket:
            for member in list(room) if shared else [socket]:
                with suppress(ConnectionError):
                    await send(member, message)
    finally:
        room.discard(socket)
    return socket


async def main():
    application = web.Application()
    application.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
