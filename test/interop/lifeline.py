"""Ends the process when its parent process has ended for any reason, because then stdin closes."""

import os
import threading


def watch():
    # Not sys.stdin: a thread that reads from it holds its lock, and Python would abort at the normal end of the program.
    while os.read(0, 1024):
        pass
    os._exit(0)


threading.Thread(target=watch, daemon=True).start()
