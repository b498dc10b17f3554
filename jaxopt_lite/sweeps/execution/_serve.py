"""The main program of a worker process: `python -m jaxopt_lite.sweeps.execution._serve FD`."""

import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

BEAT_SECONDS = 1.0


def serve(connection: Connection) -> None:
    """Do what the other end of a connection asks for, and send a sign of life every second, until it is closed."""
    sending, over = threading.Lock(), threading.Event()

    def send(kind: str, answer: Any) -> None:
        with sending:
            connection.send((kind, answer))

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            try:
                send("beat", None)
            except OSError:  # the sweep is gone
                return

    threading.Thread(target=beat, daemon=True).start()
    from jaxopt_lite.sweeps.execution._portable import Station  # takes seconds, while the signs of life begin

    station: Any = None
    try:
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
        over.set()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the sweep, which lets the segments end
    serve(Connection(int(sys.argv[1])))
