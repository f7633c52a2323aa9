"""Trains the causal scorer: `train` runs the whole recipe, from a corpus to ``model.onnx``, and can be resumed."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctxshrink.errors import ConfigError, MissingExtraError
from ctxshrink.training.config import ScorerConfig, load_config
from ctxshrink.training.run import Progress, budget_used, ignore, save_checkpoint

__all__ = ["load_config", "train", "train_weights"]


@dataclass(slots=True)
class _State:
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    position: int = 0
    copy_row: int = 0


def train(config: ScorerConfig, progress: Callable[[Progress], None] | None = None, *, export: bool = True) -> Path:
    """Runs the recipe: prepare the data, train the weights, export them, fit the mixture.

    Args:
        config: The recipe; `load_config` reads one. A run whose work folder holds a checkpoint goes on from it.
        progress: Called about every ten seconds and at each stage.
        export: Write ``config.output`` at the end.

    Returns:
        The output folder, or the work folder without ``export``.

    Raises:
        MissingExtraError: torch or onnx is not installed.
        ConfigError: The corpus is not there or too small.
    """
    work = Path(config.work)
    train_weights(config, progress)
    if not export:
        return work
    from ctxshrink.training.export import export_scorer

    export_scorer(config, Path(config.output))
    if config.mixture.fit_tokens:
        from ctxshrink.training.mixture import add_mixture

        (progress or ignore)(Progress(0, 0, 0.0, 1.0, 0.0, "counting n-grams and fitting the mixture"))
        add_mixture(config, Path(config.output))
    return Path(config.output)


def train_weights(config: ScorerConfig, progress: Callable[[Progress], None] | None = None) -> Path:
    """Prepares the data and trains until the budget is spent; returns the path of the last checkpoint."""
    torch = import_torch()
    from ctxshrink.training.llama import Llama, compile_blocks
    from ctxshrink.training.optim import make_optimizers, set_rate
    from ctxshrink.training.prepare import prepare

    t, work = config.train, Path(config.work)
    report = progress or ignore
    prepare(config, work, lambda line: report(Progress(0, 0, 0.0, 0.0, 0.0, line)))
    split = Split(t.threads if t.device == "cpu" else 1, t.device, t.dtype)
    model = Llama(config.model, config.tokenizer.vocab_size, t.seed).to(t.device)
    optimizers = make_optimizers(model, t.muon_lr, t.adam_lr, t.weight_decay)
    state, path = _State(), work / "checkpoint.pt"
    if path.exists():
        state = _load(path, model, optimizers, t.device)
    elif t.init:
        state = _start(Path(t.init), model, optimizers, config)
    if t.compile:
        compile_blocks(model)
    data = Batches(config, work, state)
    begun, saved, reported = time.monotonic() - state.seconds, time.monotonic(), time.monotonic()
    losses: list[float] = []
    while (done := budget_used((state.tokens, t.tokens), (state.seconds, t.seconds))) < 1:
        x, y = (torch.from_numpy(a).to(t.device) for a in data.next(done))
        set_rate(optimizers, min(1.0, (done + 1e-3) / (t.warmup + 1e-3)) * max(0.0, 1 - done) / (1 - t.warmup))
        loss = split.gradients(model, x, y)
        torch.nn.utils.clip_grad_norm_(model.parameters(), t.clip)
        split.step(optimizers)
        state.step, state.tokens = state.step + 1, state.tokens + y.numel()
        now = time.monotonic()
        state.seconds = now - begun
        losses.append(loss)
        if now - reported > 10:
            mean = sum(losses) / len(losses)
            report(Progress(state.step, state.tokens, state.seconds, done, mean, _line(state, done, mean)))
            reported, losses = now, []
        if now - saved > t.checkpoint_seconds:
            _save(path, model, optimizers, state)
            saved = now
    _save(path, model, optimizers, state)
    report(Progress(state.step, state.tokens, state.seconds, 1.0, 0.0, f"trained: {state.tokens:,} tokens"))
    return path


class Batches:
    """The training data in order. Each batch mixes rows of the stream with rows of copy sequences.

    Args:
        config: The recipe.
        work: Folder with the arrays.
        state: Where the stream is; moved on by `next`.
    """

    def __init__(self, config: ScorerConfig, work: Path, state: Any) -> None:
        self._config, self._state = config, state
        self._stream = np.load(work / "stream.npy", mmap_mode="r")
        self._copies = {n: np.load(work / f"copies_{n}.npy", mmap_mode="r") for n in config.train.lengths}
        if len(self._stream) < config.train.batch_tokens + 1:
            raise ConfigError(f"data.root: {len(self._stream)} tokens are fewer than one batch")

    def next(self, done: float) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of the next step, int64 (rows, length) each; ``done`` in [0, 1) picks the length."""
        t, state = self._config.train, self._state
        ends = np.cumsum(t.shares)
        phase = min(int(np.searchsorted(ends, done, side="right")), len(ends) - 1)
        length = t.lengths[phase]
        rows = max(1, t.batch_tokens // length)
        copies = min(rows, round(rows * t.copy_shares[phase]))
        out = np.empty((rows, length + 1), dtype=np.int64)
        for i in range(rows):
            if i < copies:
                table = self._copies[length]
                out[i] = table[state.copy_row % len(table)]
                state.copy_row += 1
            else:
                if state.position + length + 1 > len(self._stream):
                    state.position = 0
                out[i] = self._stream[state.position : state.position + length + 1]
                state.position += length
        # Every row starts as a scored text does, also where it begins inside a document: with the first id, BOS.
        inputs = out[:, :-1].copy()
        inputs[:, 0] = 0
        return inputs, out[:, 1:].copy()


class Split:
    """Runs the rows of a batch in parallel, shares of them in threads.

    One parallel region a step instead of one an operator: a core that other programs use then holds the others up once
    a step and not thousands of times.

    Args:
        threads: How many; 1 runs in the calling thread with torch's own threads.
        device: Where the model is.
        dtype: ``bfloat16`` or ``float32``.
    """

    def __init__(self, threads: int, device: str, dtype: str) -> None:
        torch = import_torch()
        self._threads, self._device, self._dtype = max(1, threads), device, dtype
        self._warm: set[int] = set()
        self._pool: ThreadPoolExecutor | None = None
        if self._threads > 1:
            torch.set_num_threads(1)  # also what torch.compile bakes into its code
            self._pool = ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,))

    def gradients(self, model: Any, x: Any, y: Any) -> float:
        """Sets the gradient of the batch's mean loss on the parameters and returns the loss."""
        torch = import_torch()
        parameters = list(model.parameters())

        def part(a: Any, b: Any) -> tuple[float, Any]:
            with _autocast(torch, self._device, self._dtype):
                loss = model.loss(a, b) * (len(a) / len(x))
            return float(loss.detach()), torch.autograd.grad(loss, parameters)

        # More shares than threads: the thread on the busier core takes fewer of them.
        count = 1 if self._pool is None else 2 * self._threads
        shares = list(zip(x.chunk(count), y.chunk(count), strict=True))
        # torch.compile works on the first rows of each shape; that is done in one thread.
        run: Any = map if self._pool is None or x.shape[1] not in self._warm else self._pool.map
        done: list[tuple[float, Any]] = list(run(part, *zip(*shares, strict=True)))
        self._warm.add(x.shape[1])
        for i, p in enumerate(parameters):
            total = done[0][1][i]
            for _, grads in done[1:]:
                total += grads[i]
            p.grad = total
        return sum(loss for loss, _ in done)

    def step(self, optimizers: list[Any]) -> None:
        """One step of every optimizer; their parameters are disjoint."""

        def one(optimizer: Any) -> None:
            optimizer.step()

        run: Any = map if self._pool is None else self._pool.map
        list(run(one, optimizers))
        for o in optimizers:
            o.zero_grad(set_to_none=True)


def import_torch() -> Any:
    """The torch module.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("training", "train") from error
    return torch


def _autocast(torch: Any, device: str, dtype: str) -> Any:
    if dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, torch.bfloat16)


def _save(path: Path, model: Any, optimizers: list[Any], state: _State) -> None:
    optim = [o.state_dict() for o in optimizers]
    save_checkpoint(path, {"model": model.state_dict(), "optim": optim, "state": asdict(state)})


def _load(path: Path, model: Any, optimizers: list[Any], device: str) -> _State:
    torch = import_torch()
    saved = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(saved["model"])
    for optimizer, state in zip(optimizers, saved["optim"], strict=True):
        optimizer.load_state_dict(state)
    return _State(**saved["state"])


def _start(path: Path, model: Any, optimizers: list[Any], config: ScorerConfig) -> _State:
    """Takes over another run's weights and place in the stream, and its optimizers where the model is the same."""
    torch = import_torch()
    from ctxshrink.training.llama import grow

    if not path.is_file():
        raise ConfigError(f"train.init: {path} is not there")
    try:
        saved = torch.load(path, map_location=config.train.device, weights_only=True)
        weights, same = grow(saved["model"], config.model.num_hidden_layers)
        model.load_state_dict(weights)
    except (EOFError, KeyError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise ConfigError(f"train.init: {path} does not fit the recipe's model: {error}") from error
    for optimizer, stored in zip(optimizers, saved["optim"], strict=True):
        rates = [group["lr"] for group in optimizer.param_groups]
        if same:
            optimizer.load_state_dict(stored)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = group["peak"] = rate  # the recipe's, not those of the other run
    return _State(position=int(saved["state"]["position"]), copy_row=int(saved["state"]["copy_row"]))


def _line(state: _State, done: float, loss: float) -> str:
    rate = state.tokens / max(state.seconds, 1e-9)
    return f"step {state.step} tokens {state.tokens:,} {done:6.1%} loss {loss:.3f} {rate:,.0f} tokens/s"
