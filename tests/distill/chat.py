"""A real server on loopback with OpenAI's chat completions, as good or as bad as a test wants it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.scorers.loopback import Answer, Request, serve

KEY = "sk-secret-of-the-test"
_MARKER = re.compile(r"The marker line is: (\S+)")


def said(text: object, **usage: int) -> Answer:
    """An answer in OpenAI's form."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Answer({"id": "c-1", "object": "chat.completion", "choices": [choice], "usage": usage or None})


def listed(facts: Sequence[object]) -> str:
    return json.dumps({"facts": list(facts)}, ensure_ascii=False)


def document(request: Request) -> str:
    """The document that a request holds between its markers."""
    user = request.body["messages"][-1]["content"]
    found = _MARKER.search(user)
    assert found is not None
    marker = found.group(1)
    assert user.count(marker) >= 3
    return user.partition("Document:\n" + marker + "\n")[2].partition("\n" + marker)[0]


class Model:
    """Answers with `reply`, and keeps what it was asked."""

    def __init__(self, reply: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self._reply, self._lock = reply, threading.Lock()

    def __call__(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
        return self._reply(request)


@contextmanager
def model(reply: Callable[[Request], Answer]) -> Iterator[tuple[str, Model]]:
    """The address of a server that answers so, and what it was asked."""
    made = Model(reply)
    with serve(made) as url:
        yield url, made
