"""Importing this ends the process when whoever started it is gone, however that happened: stdin closes."""

import os
import sys
import threading


def watch():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=watch, daemon=True).start()
