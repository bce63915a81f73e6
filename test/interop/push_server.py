"""The Python service of the demo, on a free port, which it prints."""

import asyncio
import os
import sys

import lifeline  # noqa: F401

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../demo/recipes/python"))

import push_server


def ready(server):
    print(list(server.sockets)[0].getsockname()[1], flush=True)


asyncio.run(push_server.main("127.0.0.1", 0, ready))
