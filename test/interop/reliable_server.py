"""The recipe in demo/recipes/python with the events that the tests need. Takes a port, and prints it."""

import asyncio
import json
import logging
import os
import sys

import lifeline  # noqa: F401

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../demo/recipes/python"))

import reliable_server as recipe

for name, value in json.loads(sys.argv[2]).items():
    setattr(recipe, name, value)


async def allow(session, group):
    return True


# Members may publish, unless a test checks the defaults of the recipe.
if not json.loads(sys.argv[2]).get("STRICT"):
    recipe.may_join = recipe.may_publish = allow

released = asyncio.Event()


async def on_event(session, event, data):
    if event == "release":
        released.set()
        return
    if event == "sessions":
        data = len(recipe.sessions)
    if event == "wait":
        await released.wait()
    if event == "half":
        session.send("half done")
    if event in ("fail", "half"):
        raise RuntimeError("as was asked for")
    if event == "many":
        for number in range(data):
            session.send(number)
        return
    session.send(data)


class Crash(logging.Handler):
    """Makes errors of handlers, and of tasks that are not awaited, visible to the tests."""

    def emit(self, record):
        unheard = record.name == "asyncio" and record.levelno >= logging.ERROR
        if unheard or record.msg == "connection handler failed":
            sys.stderr.write(logging.Formatter().format(record) + "\n")
            os._exit(3)


recipe.on_event = on_event
logging.getLogger().addHandler(Crash())


async def main():
    async with recipe.start("127.0.0.1", int(sys.argv[1])) as server:
        print(list(server.sockets)[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
