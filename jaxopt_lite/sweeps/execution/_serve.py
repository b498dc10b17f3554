"""The main program of a worker process: `python _serve.py FD`. What it imports first is Python's own."""

import os
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

BEAT_SECONDS = 1.0


def serve(connection: Connection) -> None:
    """Do what the other end of a connection asks for, and send a sign of life every second, until it is closed."""
    sending = threading.Lock()

    def send(kind: str, answer: Any) -> None:
        with sending:
            connection.send((kind, answer))

    def beat() -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            try:
                send("beat", None)
            except OSError:  # the sweep is gone, and with it all use of what is being trained
                os._exit(1)

    threading.Thread(target=beat, daemon=True).start()
    from jaxopt_lite.sweeps.execution._portable import Station  # takes seconds, while the signs of life begin

    station: Any = None
    try:
        send("answer", None)  # from now on it reads
        while True:
            name, *arguments = connection.recv()
            try:
                if name == "setup":
                    station, answer = Station(*arguments), None
                else:
                    answer = getattr(station, name)(*arguments)
            except Exception as error:
                send("error", f"{type(error).__name__}: {error}")
            else:
                send("answer", answer)
    except (EOFError, OSError):  # the sweep has ended or is gone
        os._exit(0)  # without waiting for threads of the task


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
