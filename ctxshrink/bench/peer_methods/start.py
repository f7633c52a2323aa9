"""From names and paths to peers that are ready to run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from ctxshrink import Shrinker
from ctxshrink.errors import ConfigError

from ..encoder import SentenceEncoder
from .runner import PeerRunner, interpreter
from .spec import PEERS, PeerSpec


def check_names(option: str, named: Mapping[str, Path], needs: bool) -> None:
    """Look over the names of a ``NAME=PATH`` option: methods or packages.

    Args:
        option: For the error.
        named: What was given.
        needs: Only those that take a model folder of their own.

    Raises:
        ConfigError: A name is unknown.
    """
    specs = [s for s in PEERS.values() if not needs or s.needs in ("causal", "classifier")]
    known = list(dict.fromkeys(name for s in specs for name in ((s.method,) if needs else (s.method, s.package))))
    unknown = [name for name in named if name not in (*known, *(() if needs else ("compactbench",)))]
    if unknown:
        raise ConfigError(f"{option} {unknown[0]}: no such peer; known: {', '.join(known)}")


def start(
    spec: PeerSpec,
    shrinker: Shrinker,
    *,
    task: str | None = None,
    peers: Mapping[str, Path] | None = None,
    models: Mapping[str, Path] | None = None,
    encoder: SentenceEncoder | None = None,
) -> PeerRunner:
    """Start a peer.

    Args:
        spec: Which.
        shrinker: See `PeerRunner`.
        task: What it will be run on, if that is known.
        peers: Interpreters by method or package; this one where none is named.
        models: Model folders by method. Without one ``llmlingua`` and ``longllmlingua`` run on the package's own
            scorer, written out for them.
        encoder: For those that rank by one.

    Raises:
        ConfigError: It cannot do the task, is not installed, lacks its model, or does not start.
        MissingExtraError: The package's own scorer is to be written out, and what that needs is missing.
    """
    if task is not None and task not in spec.tasks:
        raise ConfigError(
            f"--methods {spec.method}: it is not made for {task}, only for {', '.join(sorted(spec.tasks))}"
        )
    python = interpreter(spec, peers or {}, Path(sys.executable))
    with ExitStack() as stack:
        model, note = _model(spec, (models or {}).get(spec.method), stack)
        return PeerRunner(
            spec,
            python,
            shrinker,
            task=task,
            model=model,
            encoder=encoder if spec.needs == "encoder" else None,
            note=note,
            cleanup=stack.pop_all(),
        )
    raise AssertionError  # An ExitStack does not swallow errors.


def _model(spec: PeerSpec, named: Path | None, stack: ExitStack) -> tuple[Path | None, str]:
    """The model folder of a peer, and a sentence about it."""
    if spec.needs not in ("causal", "classifier"):
        return None, ""
    if named is not None:
        if not (named / "config.json").is_file():
            raise ConfigError(f"--peer-model {spec.method}={named}: no config.json there; name a model's folder")
        return named, f"Model: {named.name}."
    if spec.needs == "classifier":
        raise ConfigError(
            f"--methods {spec.method}: it needs its own model and nothing is downloaded; name the folder of "
            f"llmlingua-2-bert-base-multilingual-cased-meetingbank or a like one: --peer-model {spec.method}=FOLDER"
        )
    from ctxshrink.training.scorer_llama import scorer_as_llama

    folder = Path(stack.enter_context(TemporaryDirectory(prefix="ctxshrink-scorer-")))
    model, tokenizer = scorer_as_llama()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    return folder, f"Model: the scorer of ctxshrink, a Llama of {millions:.0f} million parameters."
