"""Real HTTP servers on loopback: one that serves a Hugging Face model as vLLM does, and the frame for worse ones."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ctxshrink.scorers import ServerScorer


@dataclass(frozen=True)
class Request:
    """What came in."""

    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """What goes out; ``body`` is JSON unless it is bytes, and ``pace`` seconds pass before each byte of those."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pace: float = 0.0


@contextmanager
def serve(answer: Callable[[Request], Answer]) -> Iterator[str]:
    """The address of a server that answers so."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            found = answer(Request(self.path, dict(self.headers), json.loads(data)))
            body = found.body if isinstance(found.body, bytes) else json.dumps(found.body).encode()
            try:
                self.send_response(found.status)
                for name, value in {"Content-Length": str(len(body)), **found.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if not found.pace:
                    self.wfile.write(body)
                    return
                for i in range(len(body)):
                    if stopped.wait(found.pace):
                        return
                    self.wfile.write(body[i : i + 1])
                    self.wfile.flush()
            except OSError:
                return  # the client has gone

        def log_message(self, format: str, *args: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 64
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


def refused(status: int, message: str) -> Answer:
    """An error in vLLM's form."""
    return Answer({"error": {"message": message, "type": "BadRequestError", "param": None, "code": status}}, status)


class Completions:
    """vLLM's ``/tokenize`` and ``/v1/completions`` with ``prompt_logprobs``, over a Hugging Face model."""

    def __init__(self, model: Any, tokenizer: Any, *, name: str, window: int, key: str | None = None) -> None:
        self.model, self.tokenizer, self.name, self.window, self.key = model, tokenizer, name, window, key
        self.requests: list[Request] = []
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
                return Answer({"error": "Unauthorized"}, 401)
            if request.body["model"] != self.name:
                return refused(404, f"The model `{request.body['model']}` does not exist.")
            paths = {"/tokenize": self.tokenize, "/v1/completions": self.complete}
            return paths[request.path](request.body) if request.path in paths else refused(404, "Not Found")

    def tokenize(self, body: Mapping[str, Any]) -> Answer:
        ids = self.tokenizer(body["prompt"], add_special_tokens=False)["input_ids"]
        if body.get("add_special_tokens", True):
            ids = [self.tokenizer.bos_token_id, *ids]
        return Answer({"count": len(ids), "max_model_len": self.window, "tokens": ids, "token_strs": None})

    def complete(self, body: Mapping[str, Any]) -> Answer:
        if body["max_tokens"] < 1:
            return refused(400, "max_tokens must be at least 1")
        for ids in body["prompt"]:
            if len(ids) + body["max_tokens"] > self.window:
                return refused(400, f"This model's maximum context length is {self.window} tokens.")
        choices = [
            {
                "index": i,
                "text": "?",
                "logprobs": None,
                "finish_reason": "length",
                "stop_reason": None,
                "prompt_logprobs": self.logprobs(ids, body["prompt_logprobs"]),
            }
            for i, ids in enumerate(body["prompt"])
        ]
        return Answer({"id": "cmpl-1", "object": "text_completion", "model": self.name, "choices": choices})

    def logprobs(self, ids: list[int], top: int) -> list[Any]:
        import torch

        with torch.inference_mode():
            logits = self.model(input_ids=torch.tensor([ids[:-1]])).logits[0].float() if len(ids) > 1 else []
        entries: list[Any] = [None]
        for token, row in zip(ids[1:], logits, strict=True):
            logprobs = row.log_softmax(-1)
            likeliest = logprobs.topk(top).indices.tolist()
            entries.append({str(t): self.entry(t, logprobs) for t in dict.fromkeys([token, *likeliest])})
        return entries

    def entry(self, token: int, logprobs: Any) -> dict[str, Any]:
        value = float(logprobs[token])
        return {
            "logprob": value if math.isfinite(value) else -9999.0,
            "rank": int((logprobs > logprobs[token]).sum()) + 1,
            "decoded_token": self.tokenizer.decode([token]),
        }


def entries(ids: list[int]) -> list[Any]:
    return [None, *({str(t): {"logprob": -1.0, "rank": 1, "decoded_token": "?"}} for t in ids[1:])]


def good(request: Request) -> Answer:
    """A server without a model: a token per byte, and a nat for each."""
    if request.path == "/tokenize":
        ids = [1] * request.body["add_special_tokens"] + [b + 2 for b in request.body["prompt"].encode()]
        return Answer({"tokens": ids, "count": len(ids), "max_model_len": 4096})
    prompts = request.body["prompt"]
    return Answer({"choices": [{"index": i, "prompt_logprobs": entries(ids)} for i, ids in enumerate(prompts)]})


def ask(answer: Callable[[Request], Answer], **arguments: Any) -> Any:
    """What a scorer gets of a server."""
    with serve(answer) as url:
        scorer = ServerScorer(url, "m", **{"retries": 0, "timeout": 60.0, **arguments})
        return scorer.nll([("context", "target"), ("context", "other")])
