"""The clients: each asks one thing after the other, and three hold streams open."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.chaos.answers import CUT_SHORT, NO_ANSWER, TIMED_OUT, Answer, Grade, read_answer
from tests.chaos.ledger import Ledger
from tests.chaos.policies import SERVERS
from tests.chaos.questions import ERAS, LEGACY, Question, Questions, Wallet
from tests.chaos.upstream import settled

CLIENTS = 8
PAUSE = 0.06
"""Mean pause of a client between an answer and the next question, in seconds."""
ANSWER_SECONDS = 5.0
"""Longest time for which a client waits for an answer."""
STREAM_SECONDS = 8.0
"""Mean time for which a stream is held open."""
_HOLDER = "bob"
"""Who holds the streams: the caller who may see the most."""


@dataclass(slots=True, kw_only=True)
class Traffic:
    """Everything that asks, from one seed.

    Attributes:
        port: Envoy's.
        ledger: judges the answers.
        wallet: holds the tokens.
        numbers: number the questions.
        seed: makes the same questions again.
    """

    port: int
    ledger: Ledger
    wallet: Wallet
    numbers: Iterator[int]
    seed: int

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask until the context is left."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=CLIENTS)
        async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS, limits=limits) as http:
            clients = [self._ask(http, self.questions(n, ERAS[n % 2])) for n in range(CLIENTS)]
            streams = [
                self._hold(http, self.questions(CLIENTS + n, LEGACY), server)
                for n, server in enumerate(SERVERS)
            ]
            tasks = {asyncio.create_task(work) for work in [*clients, *streams]}
            try:
                yield
                for task in tasks:
                    if task.done():  # only an error ends one
                        task.result()
            finally:
                await settled(tasks)

    def questions(self, serial: int, era: str) -> Questions:
        """Return the questions of one client."""
        rng = random.Random(f"{self.seed}:{serial}")
        return Questions(port=self.port, era=era, wallet=self.wallet, rng=rng, numbers=self.numbers)

    async def _ask(self, http: httpx.AsyncClient, questions: Questions) -> None:
        while True:
            question = questions.next()
            answer, given = await self._put(http, question)
            if question.method == "initialize" and given is Grade.RIGHT and answer.session:
                questions.sessions[question.subject, question.server] = answer.session
            await asyncio.sleep(questions.rng.expovariate(1 / PAUSE))

    async def _put(self, http: httpx.AsyncClient, question: Question) -> tuple[Answer, Grade]:
        self.ledger.sent(question)
        answer = await exchange(http, self.port, question)
        return answer, self.ledger.answered(question, answer)

    async def _hold(self, http: httpx.AsyncClient, questions: Questions, server: str) -> None:
        """Hold a stream of one server open, in one session, and begin another when it ends."""
        while True:
            if (_HOLDER, server) not in questions.sessions:
                question = questions.ask(_HOLDER, server, "initialize", {"protocolVersion": LEGACY})
                answer, given = await self._put(http, question)
                if given is Grade.RIGHT and answer.session:
                    questions.sessions[_HOLDER, server] = answer.session
            else:
                await self._listen(http, questions.stream(_HOLDER, server), questions.rng)
            await asyncio.sleep(questions.rng.expovariate(1 / PAUSE))

    async def _listen(self, http: httpx.AsyncClient, question: Question, rng: random.Random) -> None:
        self.ledger.sent(question)
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS + rng.expovariate(1 / STREAM_SECONDS)),
                http.stream("GET", _url(self.port, question), headers=question.request.headers) as response,
            ):
                if response.status_code != 200:
                    body = await response.aread()
                    self.ledger.answered(question, read_answer(response.status_code, response.headers, body))
                    return
                self.ledger.opened(question)
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        self.ledger.told(question, json.loads(line[5:]))
        except (TimeoutError, httpx.TransportError):
            pass  # it has been open for long enough, or a fault has broken it: the next one is opened


async def exchange(http: httpx.AsyncClient, port: int, question: Question) -> Answer:
    """Send a question and return its answer, also if there is none."""
    request = question.request
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            response: Any = await http.request(
                request.method, _url(port, question), headers=request.headers, content=request.body
            )
    except (TimeoutError, httpx.TimeoutException):
        return Answer(problem=TIMED_OUT)
    except httpx.RemoteProtocolError:
        return Answer(problem=CUT_SHORT)
    except httpx.TransportError:
        return Answer(problem=NO_ANSWER)
    return read_answer(response.status_code, response.headers, response.content)


def _url(port: int, question: Question) -> str:
    return f"http://127.0.0.1:{port}{question.request.path}"
