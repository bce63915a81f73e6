"""The service behind the demo's page, in Python: notifications, live data, numbered streams, reliable sessions.

    python3 demo/recipes/python/push_server.py              (Debian: apt install python3-websockets)
    SERVICE=ws://localhost:8765 npm start           the page, and a connection to this server that can be broken

/reliable is the recipe in the same folder, which says what it does not include. In addition, this file keeps nothing
when the process ends, and does not limit clients that read too slowly: `broadcast` does not wait, so messages for such
a client stay in memory until it is disconnected, which happens when it has not answered pings for 40 seconds.
"""

import asyncio
import json
import random
import re
import struct
import time
import uuid
import zlib
from collections import deque
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import reliable_server as recipe
from websockets import ConnectionClosed, broadcast, serve

MAX_MESSAGE = 2**20  # A longer message closes the connection. A shorter one can be refused with a reason.
MAX_TEXT, MAX_BINARY, MAX_VISIBLE = 2**14, 2**18, 500
MAX_STREAMS, MAX_NUMBER, MAX_MISSING = 500, 10_000_000, 2_000
PERIOD = 0.05  # seconds between two numbers of a stream
SYMBOLS = ["WAVE", "TIDE", "REEF"]
CATEGORIES = ["message", "party", "alert"]
PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8")
NAME = re.compile(r"[A-Za-z0-9_]{1,20}")
ID = re.compile(r"[\w-]{8,40}", re.ASCII)


class Refused(Exception):
    """Tells the client why a message was refused."""


def demand(holds, why):
    if not holds:
        raise Refused(why)


def read(text, example):
    """Parses a JSON object."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(f"The message is not JSON. Send {example}.") from None
    return message if isinstance(message, dict) else {}


async def hear(socket, on_text, on_binary):
    """Answers each message, processes it, or refuses it with a reason."""
    async for message in socket:
        try:
            answer = on_text(message) if isinstance(message, str) else on_binary(message)
        except (Refused, ValueError) as refused:  # ValueError: a number that JSON cannot represent.
            answer = recipe.encode(kind="error", message=str(refused))
        if answer:
            await socket.send(answer)


# /feed: notifications as text, pictures as binary

feeds = set()
history, seen_by = deque(maxlen=30), {}
picture = b""


def publish(category, title, body, **more):
    entry = {"kind": "notification", "id": str(uuid.uuid4()), "at": int(time.time() * 1000)}
    entry.update(category=category, title=title, body=body, **more)
    text = recipe.encode(**entry)
    history.append(entry)
    for old in set(seen_by) - {each["id"] for each in history}:
        del seen_by[old]
    seen_by[entry["id"]] = set()
    broadcast(feeds, text)


def show(data):
    global picture
    picture = data
    broadcast(feeds, data)


def push(message):
    n, text = message.get("n"), message.get("text")
    sender, category = message.get("from", "somebody"), message.get("category", "message")
    demand(type(n) is int and 0 < n < 2**53, "n must be a positive whole number.")
    demand(isinstance(text, str) and text.strip(), "text must be a string with visible characters.")
    demand(len(text) <= MAX_VISIBLE, f"text must have at most {MAX_VISIBLE} characters. This one has {len(text)}.")
    demand(isinstance(sender, str) and NAME.fullmatch(sender), "from must be 1 to 20 letters, digits or underscores.")
    demand(category in CATEGORIES, f"category must be one of {', '.join(CATEGORIES)}.")
    publish(category, sender, text, **{"n": n, "from": sender})


def acknowledge(message):
    those, sender = seen_by.get(str(message.get("id"))), message.get("from")
    if those is not None and isinstance(sender, str) and NAME.fullmatch(sender) and len(those) < MAX_VISIBLE:
        those.add(sender)
        broadcast(feeds, recipe.encode(kind="seen", id=message["id"], count=len(those)))


def on_feed_text(text):
    if text == "ping":
        return "pong"
    size = len(text.encode(errors="replace"))
    demand(size <= MAX_TEXT, f"A text message must have at most {MAX_TEXT} bytes. This one has {size}.")
    message = read(text, "{type: 'push', n, text}")
    kind, n = message.get("type"), message.get("n")
    demand(kind in ("push", "seen", "echo"), "Unknown type: expected 'push', 'seen' or 'echo'.")
    if kind == "echo":
        return recipe.encode(kind="echo", n=n if type(n) in (int, float) else None)
    return push(message) if kind == "push" else acknowledge(message)


def on_picture(data):
    demand(len(data) <= MAX_BINARY, f"A picture must have at most {MAX_BINARY} bytes. This one has {len(data)}.")
    demand(data.startswith(PICTURES), "Binary messages are pictures: send PNG, JPEG or GIF.")
    show(data)


def count_visitors():
    broadcast(feeds, recipe.encode(kind="visitors", count=len(feeds)))


async def serve_feed(socket):
    # Nothing is awaited until everything is written: otherwise, other messages could be published in between.
    for entry in history:
        broadcast([socket], recipe.encode(**entry, seen=len(seen_by[entry["id"]])))
    broadcast([socket], picture)
    feeds.add(socket)
    count_visitors()  # Sent last: the messages before it are the history.
    try:
        await hear(socket, on_feed_text, on_picture)
    finally:
        feeds.discard(socket)
        count_visitors()


def paint(width=240, height=120, bars=24):
    """A bar chart as PNG: https://www.w3.org/TR/png-3/#5Chunk-layout"""
    levels = [random.randint(8, height - 12) for _ in range(bars)]
    ink, paper = bytes(random.randint(90, 220) for _ in range(3)), b"\x10\x20\x30"

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def row(y):
        return b"\0" + b"".join((ink if height - y <= level else paper) * 8 + paper * 2 for level in levels)

    pixels = zlib.compress(b"".join(map(row, range(height))))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PICTURES[0] + b"\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


# /live: a market as text, a drawing pad as binary

pads = {}
strokes = deque(maxlen=4_000)  # Sent to clients that connect later.
STROKE, CLEAR, SIZES = 2, 3, {1: 8, 2: 12, 3: 4}  # kind, colour, client (2 bytes), positions


def on_quote(text):
    if text == "ping":
        return "pong"
    message = read(text, "{type: 'quote', symbol, value}")
    symbol, value = message.get("symbol"), message.get("value")
    is_quote = message.get("type") == "quote" and symbol in SYMBOLS and type(value) in (int, float)
    demand(is_quote and abs(value) < 1e15, "expected {type: 'quote', symbol, value}")
    return recipe.encode(kind="quote", symbol=symbol, value=value)


async def serve_live(socket):
    pads[socket] = seat = random.randint(1, 65_535)

    def on_pad(frame):
        is_frame = frame and SIZES.get(frame[0]) == len(frame)
        demand(is_frame, f"this is no frame of the pad: {len(frame)} bytes")
        frame = frame[:2] + struct.pack(">H", seat) + frame[4:]  # A client cannot use the id of another one.
        if frame[0] == STROKE:
            strokes.append(frame)
        elif frame[0] == CLEAR:
            strokes.clear()
        broadcast([each for each in pads if each is not socket], frame)

    broadcast([socket], recipe.encode(kind="hello", symbols=SYMBOLS, seat=seat))
    if strokes:
        broadcast([socket], b"".join(strokes))
    try:
        await hear(socket, on_quote, on_pad)
    finally:
        del pads[socket]


# /plain and /reliable: numbered messages, each way

streams = {}


class Stream:
    """The numbers sent follow the clock. Received numbers are counted: missing, duplicate and late ones."""

    def __init__(self):
        self.since, self.missing = time.monotonic(), {}
        self.listeners = self.sent = 0
        self.counts = {"arrived": 0, "lost": 0, "twice": 0, "late": 0, "last": 0}

    def due(self):
        return int((time.monotonic() - self.since) / PERIOD)

    def message(self, n):
        return {"n": n, "up": self.counts}

    def note(self, n):
        counts, last = self.counts, self.counts["last"]
        if type(n) is not int or not 0 < n < min(MAX_NUMBER, last + 100_000):
            return
        if n > last:
            counts["lost"] += n - last - 1
            self.missing.update(dict.fromkeys(range(max(last + 1, n - MAX_MISSING), n)))
            while len(self.missing) > MAX_MISSING:
                del self.missing[next(iter(self.missing))]
            counts["last"] = n
        elif n in self.missing:
            del self.missing[n]
            counts["lost"] -= 1
            counts["late"] += 1
        else:
            counts["twice"] += 1
            return
        counts["arrived"] += 1


def find_stream(socket):
    path, _, query = path_of(socket).partition("?")
    name = parse_qs(query).get("id", [""])[0]
    if not ID.fullmatch(name):
        return None
    stream = streams[path, name] = streams.pop((path, name), None) or Stream()  # the most recent is last
    if len(streams) > MAX_STREAMS:
        del streams[next(iter(streams))]
    return stream


async def serve_plain(socket):
    stream = find_stream(socket)
    if not stream:
        return await socket.close(1008, "the id must have 8 to 40 letters and digits")

    async def send_due():
        # Numbers due without a connection are lost. A second connection begins where the first one is.
        n = stream.sent if stream.listeners > 1 else stream.due()
        while True:
            while n < stream.due():
                n += 1
                broadcast([socket], json.dumps(stream.message(n)))
            stream.sent = n
            await asyncio.sleep(PERIOD)

    stream.listeners += 1
    pump = asyncio.create_task(send_due())
    try:
        async for text in socket:
            if re.fullmatch("[0-9]{1,8}", str(text)):
                stream.note(int(text))
    finally:
        pump.cancel()
        stream.listeners -= 1


class NumberedSession(recipe.Session):
    """Is sent all due numbers as long as it exists, with or without a connection."""

    stream = pump = None

    def attach(self, socket, shown):
        if not self.pump:
            self.stream = find_stream(socket)
            self.pump = asyncio.get_running_loop().create_task(self.send_due())
        return super().attach(socket, shown)

    async def send_due(self):
        n = self.stream.due()
        while recipe.sessions.get(self.id) is self:
            # A client may leave 1,000 unacknowledged. After a long absence, it is sent the due numbers in parts.
            while n < self.stream.due() and len(self.unacked) < 500:
                n += 1
                self.send(self.stream.message(n))
            await asyncio.sleep(PERIOD)


async def on_event(session, event, data):
    session.stream.note(data)


recipe.Session, recipe.on_event = NumberedSession, on_event


async def serve_reliable(socket):
    if not find_stream(socket):
        return await socket.close(1008, "the id must have 8 to 40 letters and digits")
    await recipe.serve_client(socket)


# All paths

ROUTES = {"/feed": serve_feed, "/live": serve_live, "/plain": serve_plain, "/reliable": serve_reliable}


def path_of(socket):
    return getattr(socket, "request", socket).path  # Before version 14, websockets has the path on the socket.


async def route(socket):
    headers = socket.request.headers if hasattr(socket, "request") else socket.request_headers
    origin, serve_path = headers.get("Origin"), ROUTES.get(path_of(socket).partition("?")[0])
    # A browser sends the origin of the page: only pages of the same host may connect. Programs send no Origin.
    if not serve_path or origin and urlsplit(origin).netloc != headers.get("Host"):
        return await socket.close(1008, "not here, or not for this page")
    with suppress(ConnectionClosed):
        await serve_path(socket)


async def tick():
    prices = [142.0, 87.0, 23.0]
    while True:
        prices = [max(1.0, price * random.uniform(0.998, 1.002)) for price in prices]
        broadcast(pads, recipe.encode(kind="tick", prices=[round(price, 3) for price in prices]))
        await asyncio.sleep(0.25)


async def speak():
    while True:
        place, degrees = random.choice(["Lisbon", "Oslo", "Nairobi", "Osaka", "Lima"]), random.randint(-5, 33)
        publish("weather", f"{degrees} °C in {place}", "Told by Python.")
        if random.random() < 0.2:
            show(paint())
        await asyncio.sleep(random.uniform(3, 6))


async def main(host="localhost", port=8765, ready=None):
    limits = {"max_size": MAX_MESSAGE, "max_queue": 16, "compression": None}
    show(paint())
    async with serve(route, host, port, subprotocols=[recipe.PROTOCOL], **limits) as server:
        if ready:
            ready(server)
        await asyncio.gather(tick(), speak())


if __name__ == "__main__":
    asyncio.run(main())
