"""A Ray cluster on this machine, for the length of a run."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Generator
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from ctxshrink._deadline import describe
from ctxshrink.errors import ConfigError, MissingExtraError

OBJECT_STORE_BYTES: Final = 256 * 2**20
"""Shared memory of a cluster that is started here: batches on their way. Ray holds the reader back when it fills."""

_REACH_SECONDS: Final = 10.0
"""How long a cluster's address may take to answer."""

_LEFT_BEHIND: Final = ("RAY_AUTH_MODE", "PYTHONBREAKPOINT")
"""Variables that ``ray.init`` sets in this process and leaves."""


@contextlib.contextmanager
def local_cluster(workers: int, *, cpus: float = 1.0, object_store_bytes: int = OBJECT_STORE_BYTES) -> Generator[None]:
    """A Ray cluster on this machine for the length of a ``with``: no dashboard, no statistics sent, no files left.

    Its ports are open to this machine only.

    Args:
        workers: Most workers that run at a time.
        cpus: Cores that each claims. More than the machine has is legal: they are a number that Ray shares out.
        object_store_bytes: Shared memory for what is on its way between processes; the rest is spilled to disk.
    """
    ray, _ = libraries()
    with tempfile.TemporaryDirectory(prefix="ctxshrink-ray-", ignore_cleanup_errors=True) as folder, _quietly():
        ray.init(
            address="local",
            num_cpus=math.ceil(workers * cpus) + 1,
            include_dashboard=False,
            object_store_memory=object_store_bytes,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
        )
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def joined(address: str) -> Generator[None]:
    """A cluster that runs already, for the length of a ``with``; its settings are its owner's.

    Args:
        address: As ``ray.init`` takes it: ``auto``, ``host:port``, ``ray://host:port``.

    Raises:
        ConfigError: There is none.
    """
    ray, _ = libraries()
    try:
        _reach(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"no Ray cluster could be joined at {address!r}: {describe(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Connect where an address names a place: Ray itself tries for minutes, and logs as much.

    Raises:
        OSError: Nobody listens there.
        ValueError: Its port is none.
    """
    place = urlsplit(address if "://" in address else f"//{address}")
    if place.hostname and place.port is not None:
        socket.create_connection((place.hostname, place.port), timeout=_REACH_SECONDS).close()


@contextlib.contextmanager
def _quietly() -> Generator[None]:
    """No reports of its use, no ports for others, no chatter: Ray's processes take these from the environment only."""
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's word for: listen on the loopback address only.
        "RAY_BACKEND_LOG_LEVEL": "fatal",  # It logs an error for each pool of workers that can be started again.
    }
    chatter = logging.getLogger("ray.data")
    level = chatter.level
    constants: Any = import_module("ray._private.ray_constants")  # Read when Ray was imported, which is too early.
    others = getattr(constants, "ENABLE_RAY_CLUSTER", None)
    before = {name: os.environ.get(name) for name in (*settings, *_LEFT_BEHIND)}
    terminated = signal.getsignal(signal.SIGTERM)  # ray.init puts a handler of its own in its place.
    os.environ.update(settings)
    chatter.setLevel(logging.ERROR)
    if others is not None:
        constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        chatter.setLevel(level)
        if others is not None:
            constants.ENABLE_RAY_CLUSTER = others
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if terminated is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminated)


def libraries() -> tuple[Any, Any]:
    """The packages ``ray`` and ``ray.data``.

    Raises:
        MissingExtraError: They are not installed.
    """
    try:
        return import_module("ray"), import_module("ray.data")
    except ImportError as error:
        raise MissingExtraError("Distilling on several workers", "ray") from error
