"""Clients that ask through Envoy all the while, one thing after the other."""

import threading
from itertools import cycle

from tests.support.wire import ask, message

LIST = message("tools/list")
PAUSE = 0.005
"""Seconds between an answer and the next question: what is tested is that all the while somebody asks, not how much."""


class Load(threading.Thread):
    """Asks for one thing after the other until it is told to stop."""

    def __init__(self, port, token, subjects):
        super().__init__(daemon=True)
        self.port, self.token, self.subjects = port, token, cycle(subjects)
        self.stop = threading.Event()
        self.answers = []

    def run(self):
        for body in self.subjects:
            answer = ask(self.port, self.token, body)
            tools = tuple(answer.tools) if body == LIST and answer.status == 200 else ()
            self.answers.append((answer.status, answer.whole, answer.reason, tools))
            if self.stop.wait(PAUSE):
                return
