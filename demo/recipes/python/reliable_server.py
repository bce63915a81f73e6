"""Reliable sessions on Python's `websockets`: every message once and in order, both ways, even if connections are lost.

    python3 reliable_server.py          (Debian: apt install python3-websockets; else: pip install websockets)

    // in the browser
    const socket = createReliableSocket('ws://localhost:8765/')
    socket.on('message', ({ data }) => console.log(data))
    await socket.send({ hello: 'world' })

Your code goes into `on_event`, `may_join` and `may_publish`. Clients of Azure Web PubSub work, too. For the frames, see
https://learn.microsoft.com/azure/azure-web-pubsub/reference-json-reliable-webpubsub-subprotocol

Not included: authentication (check the cookies in `serve_client`, also when a session is resumed), TLS (use a
proxy), sessions that outlive this process or are shared by several processes, and limits per user and address.
While an event is handled, nothing else from that client is read, not even its pings: do slow work in a task,
which can `session.send` the result. Messages that were sent before a handler raised an exception stay sent.
"""

import asyncio
import base64
import json
import logging
import secrets
import time
from contextlib import suppress
from urllib.parse import parse_qsl

from websockets import ConnectionClosed, broadcast, serve

ORIGINS = [None, "http://localhost:8080"]  # Pages that may connect. None: programs, which send no Origin.
KEEP = 60  # A session outlives its connection for this many seconds.
MAX_SESSIONS, MAX_GROUPS, MAX_NAME = 10_000, 256, 1_024
MAX_UNACKED, MAX_UNACKED_BYTES = 1_000, 2**22  # A client that is further behind loses its session.
MAX_MESSAGE = 2**20  # A longer message is refused. One of more than twice this length closes the connection.
MESSAGES_PER_SECOND, BYTES_PER_SECOND = 2_000, 2**24  # A client that sends more is read more slowly.
HANDLER_TIMEOUT = 60  # After this many seconds, an event is refused.
MAX_HANDLED = 4_096  # Far more than the 256 unanswered requests that a client may have.
PROTOCOL = "json.reliable.webpubsub.azure.v1"
FEATURES = ["endSession", "resumeProtocol"]  # Additions to Azure's protocol, which other clients ignore.

sessions = {}


async def on_event(session, event, data):
    """Handles an event, once: `data` is str, bytes, or a decoded JSON value. To refuse it, raise an exception."""
    session.send(data)


async def may_join(session, group):
    """Whether a client may join a group, and receive what is published to it."""
    return False


async def may_publish(session, group):
    """Whether a member of a group may publish to it."""
    return False


class Refused(Exception):
    """Tells the client why a request was refused: a name, and a message."""


class Rate:
    """How much a client may send. The unused part of up to one second can be used later."""

    def __init__(self):
        self.messages, self.bytes, self.last = MESSAGES_PER_SECOND, BYTES_PER_SECOND, time.monotonic()
        self.waited = 0

    def take(self, size):
        """Returns after how many seconds the next message may be read."""
        now = time.monotonic()
        passed, self.last = now - self.last, now
        self.messages = min(MESSAGES_PER_SECOND, self.messages + passed * MESSAGES_PER_SECOND) - 1
        self.bytes = min(BYTES_PER_SECOND, self.bytes + passed * BYTES_PER_SECOND) - size
        wait = max(-self.messages / MESSAGES_PER_SECOND, -self.bytes / BYTES_PER_SECOND, 0)
        # After a client has stayed within its rate for a second, earlier delays are forgotten.
        self.waited = self.waited + wait if wait or self.messages < MESSAGES_PER_SECOND - 1 else 0
        return wait


class Session:
    """A client. It outlives connections."""

    def __init__(self):
        self.id, self.tokens, self.socket, self.expiry = secrets.token_urlsafe(16), [], None, None
        self.groups, self.lock = set(), asyncio.Lock()
        self.sequence, self.unacked, self.bytes = 0, {}, 0  # unacked: frames by number, oldest first
        self.farewell = None  # when the session has ended: a task
        self.handled = {}  # the outcomes of requests by ackId: None, or the error
        sessions[self.id] = self

    def send(self, data):
        """Sends str as text, bytes as binary, everything else as JSON. Raises TypeError or ValueError."""
        kind = "text" if isinstance(data, str) else "binary" if isinstance(data, bytes) else "json"
        data = base64.b64encode(data).decode() if kind == "binary" else data
        self.push({"from": "server"}, kind, data)

    def push(self, origin, kind, data):
        number = self.sequence + 1
        frame = encode(sequenceId=number, type="message", **origin, dataType=kind, data=data)
        if len(self.unacked) >= MAX_UNACKED or self.bytes + len(frame) > MAX_UNACKED_BYTES:
            return self.end("slow consumer")
        self.sequence, self.unacked[number], self.bytes = number, frame, self.bytes + len(frame)
        if self.socket:
            # Written without waiting. The buffer is bounded, because the unacknowledged frames are bounded.
            broadcast([self.socket], frame)

    def attach(self, socket, shown):
        """The newest connection replaces the old one, and begins with all unacknowledged frames."""
        token, old, self.socket = secrets.token_urlsafe(16), self.socket, socket
        # Until the new token is known to have arrived, the token that the client sent stays valid.
        self.tokens = [shown, token] if shown else [token]
        if self.expiry:
            self.expiry.cancel()
        if old:
            old.transport.abort()
        # Nothing is awaited here: otherwise, other messages could be sent in between.
        known = {"connectionId": self.id, "reconnectionToken": token, "sequenceId": self.sequence}
        connected = encode(type="system", event="connected", **known, features=FEATURES)
        for frame in [connected, *self.unacked.values()]:
            broadcast([socket], frame)
        return token

    def knows(self, token):
        # Encoded, because a client can send any token.
        shown = token.encode(errors="replace")
        return any(secrets.compare_digest(shown, each.encode()) for each in self.tokens)

    def confirm(self, token, pong):
        if not pong.cancelled() and not pong.exception() and self.tokens[-1] == token:
            self.tokens = [token]

    def detach(self, socket):
        if self.socket is socket:
            self.socket = None
            self.expiry = asyncio.get_running_loop().call_later(KEEP, sessions.pop, self.id, None)

    def end(self, reason, code=1008):
        sessions.pop(self.id, None)
        socket, self.socket = self.socket, None
        if socket:
            self.farewell = asyncio.get_running_loop().create_task(dismiss(socket, code, reason))

    async def hear(self, text):
        """Processes a frame, and returns the answer. Raises one of MALFORMED."""
        if isinstance(text, bytes):
            raise ValueError("this subprotocol has no binary messages")
        frame = json.loads(text)
        kind, ack_id = frame["type"], frame.get("ackId")
        if kind == "ping":
            return encode(type="pong")
        if kind == "endSession":
            return self.end("ended by the client", 1000)
        if kind == "sequenceAck":
            if frame["sequenceId"] > self.sequence:
                raise ValueError("no such message")
            for number in [number for number in self.unacked if number <= frame["sequenceId"]]:
                self.bytes -= len(self.unacked.pop(number))
            return None
        is_large = size_of(frame, text) > MAX_MESSAGE
        if ack_id is None:
            if not is_large:
                await self.perform(kind, frame)
            return None
        if type(ack_id) is not int or not 0 <= ack_id < 2**53:
            raise ValueError("bad ackId")
        if is_large:
            error = {"name": "TooLarge", "message": f"the server accepts {MAX_MESSAGE} bytes"}
        elif ack_id in self.handled:
            # It failed before, so it fails now. If it ran again, some of its effects could happen twice.
            error = self.handled[ack_id] or {"name": "Duplicate", "message": "this message has been handled"}
        else:
            error = self.handled[ack_id] = await self.perform(kind, frame)
            if len(self.handled) > MAX_HANDLED:
                del self.handled[next(iter(self.handled))]
        return encode(type="ack", ackId=ack_id, success=not error, **({"error": error} if error else {}))

    async def perform(self, kind, frame):
        """Carries out a request, and returns None or the error for the client."""
        name = frame["event" if kind == "event" else "group"]
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
            raise ValueError("bad name")
        data = decode(frame) if kind in ("event", "sendToGroup") else None
        try:
            if kind == "event":
                await asyncio.wait_for(on_event(self, name, data), HANDLER_TIMEOUT)
            elif kind == "joinGroup":
                if len(self.groups) >= MAX_GROUPS or not await may_join(self, name):
                    raise Refused("Forbidden", "may not join this group")
                self.groups.add(name)
            elif kind == "leaveGroup":
                self.groups.discard(name)
            elif kind != "sendToGroup":
                raise Refused("BadRequest", "no such type of frame")
            elif name not in self.groups or not await may_publish(self, name):
                raise Refused("Forbidden", "may not publish to this group")
            else:
                # fromUserId is empty if there is no user. A message without it is from the server.
                origin = {"from": "group", "group": name, "fromUserId": ""}
                kind = frame.get("dataType", "json")
                for member in [each for each in sessions.values() if name in each.groups]:
                    if member is not self or not frame.get("noEcho"):
                        member.push(origin, kind, frame["data"])
        except Refused as refused:
            return dict(zip(("name", "message"), refused.args))
        except asyncio.TimeoutError:
            logging.exception("a request took too long")
            return {"name": "Timeout", "message": "the message was not handled in time"}
        except Exception:
            # The client need not know what is wrong here.
            logging.exception("a request was not handled")
            return {"name": "InternalServerError", "message": "the message was not handled"}
        return None


MALFORMED = (KeyError, RecursionError, TypeError, ValueError)


def encode(**frame):
    return json.dumps(frame, allow_nan=False)  # JSON has no NaN, and a browser could not parse it.


def decode(frame):
    kind, data = frame.get("dataType", "json"), frame["data"]
    if kind == "json":
        encode(data=data)  # Python also accepts NaN and Infinity, which are not JSON.
    elif kind not in ("text", "binary") or not isinstance(data, str):
        raise ValueError("bad data")
    return base64.b64decode(data, validate=True) if kind == "binary" else data


def size_of(frame, text):
    """The size of a message in bytes. Binary data is counted without the base64 encoding."""
    data = frame.get("data")
    is_binary = frame.get("dataType") == "binary" and isinstance(data, str)
    return len(data) * 3 // 4 if is_binary else len(text.encode(errors="replace"))


async def close(socket, code, reason):
    # The client may have disconnected in the meantime.
    with suppress(ConnectionClosed):
        await socket.close(code, reason)


async def dismiss(socket, code, reason):
    broadcast([socket], encode(type="system", event="disconnected", message=reason))
    await close(socket, code, reason)


def headers_of(socket):
    # websockets before 14 has them on the socket.
    return getattr(socket, "request_headers", None) or socket.request.headers


def recovery(socket):
    """The session that a client wants to resume, or None, and the token that it sends: in a header, or in the URL."""
    request, headers = getattr(socket, "request", socket), headers_of(socket)
    for name in ",".join(headers.get_all("Sec-WebSocket-Protocol")).split(","):
        kind, _, rest = name.strip().partition(".")
        if kind == "resume":
            return rest.partition(".")[0], rest.partition(".")[2]
    query = dict(parse_qsl(request.path.partition("?")[2]))
    return query.get("awps_connection_id"), query.get("awps_reconnection_token", "")


async def serve_client(socket):
    if socket.subprotocol != PROTOCOL:
        return await close(socket, 1002, f"the subprotocol must be {PROTOCOL}")
    wanted, shown = recovery(socket)
    if wanted is not None:
        session = sessions.get(wanted)
        if not session or not session.knows(shown):
            return await dismiss(socket, 1008, "no such session, or not with this token")
    elif len(sessions) >= MAX_SESSIONS:
        return await dismiss(socket, 1013, "too many sessions")
    else:
        session, shown = Session(), None
    token, rate = session.attach(socket, shown), Rate()
    try:
        # The answer to this ping proves that the client has received `connected`, which was sent before it.
        pong = await socket.ping()
        pong.add_done_callback(lambda pong: session.confirm(token, pong))
        async for text in socket:
            # One request at a time, even if the previous connection is still busy with its last request.
            async with session.lock:
                if session.socket is not socket:
                    break
                answer = await session.hear(text)
            if answer:
                # Waits while the client does not read. Meanwhile, nothing more is read from the client.
                await socket.send(answer)
            told, wait = rate.waited >= 1, rate.take(len(text))
            if wait:
                # Meanwhile, nothing is read, so a client that sends too much has to wait.
                await asyncio.sleep(wait)
            if rate.waited >= 1 and not told:
                why = f"this connection sends more than {MESSAGES_PER_SECOND} messages per second"
                broadcast([socket], encode(type="system", event="limited", message=why))
    except ConnectionClosed as closed:
        # For a message that is too long, or is not text. The client would send it again, and may have done so already.
        if closed.sent and closed.sent.code in (1002, 1007, 1009):
            session.end("bad message")
    except MALFORMED:
        session.end("bad frame")
    finally:
        session.detach(socket)
        if session.farewell:
            await session.farewell


async def admit(socket):
    # After the handshake: a browser does not tell the page why a handshake failed, so the page would try again.
    origin = headers_of(socket).get("Origin")
    if origin in ORIGINS:
        return await serve_client(socket)
    logging.warning("refused a connection: ORIGINS does not contain %s", origin)
    await dismiss(socket, 1008, "this origin is not allowed")


def start(host="localhost", port=8765):
    limits = {"max_size": 2 * MAX_MESSAGE, "max_queue": 16, "compression": None}
    return serve(admit, host, port, subprotocols=[PROTOCOL], **limits)


async def main():
    async with start():
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main())
