"""Tornado: /broadcast sends each message to all clients, and any other path echoes. Prints its port."""

import asyncio
from contextlib import suppress

import lifeline  # noqa: F401
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, WebSocketHandler


class Echo(WebSocketHandler):
    def check_origin(self, origin):
        return True

    def select_subprotocol(self, offered):
        return "echo.v1" if "echo.v1" in offered else None

    def get_compression_options(self):
        return {}  # an empty answer switches permessage-deflate on

    def on_message(self, message):
        self.write_message(message, binary=isinstance(message, bytes))


class Broadcast(Echo):
    room = set()

    def open(self):
        self.room.add(self)

    def on_close(self):
        self.room.discard(self)

    def on_message(self, message):
        for member in self.room:
            with suppress(WebSocketClosedError):
                member.write_message(message, binary=isinstance(message, bytes))


async def main():
    routes = Application([("/broadcast", Broadcast), ("/.*", Echo)], websocket_max_message_size=2**30)
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(routes).add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
