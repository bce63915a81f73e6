"""Django's ASGI application under uvicorn. Prints its port.

/broadcast sends to all who are there, any other path echoes. Django itself leaves the `websocket` scope of ASGI to
the project: this is what a project without Channels writes. Plain HTTP goes to Django.
"""

import socket

import lifeline  # noqa: F401
import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests only",
)
urlpatterns = [path("", lambda request: HttpResponse("Django"))]

room = set()


async def websocket(scope, receive, send):
    await receive()  # websocket.connect
    subprotocol = "echo.v1" if "echo.v1" in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": subprotocol})
    shared = scope["path"] == "/broadcast"
    if shared:
        room.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            for member in list(room) if shared else [send]:
                text = event.get("text")
                data = {"text": text} if text is not None else {"bytes": event["bytes"]}
                await member({"type": "websocket.send", **data})
    finally:
        room.discard(send)


django = get_asgi_application()


async def application(scope, receive, send):
    serve = websocket if scope["type"] == "websocket" else django
    await serve(scope, receive, send)


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(application, log_level="error", lifespan="off", ws_max_size=2**30)
uvicorn.Server(config).run(sockets=[listener])
