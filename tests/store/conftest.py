"""Places for stores, on SQLite and on real PostgreSQL and MariaDB servers, and a clock that can be set forward."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from ctxshrink.store import Store
from tests.store import mariadb, postgres

New: TypeAlias = Callable[..., Store]

_numbers = itertools.count()
SERVERS = ("postgresql", "mariadb")


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    with postgres.running() as running:
        yield running


@pytest.fixture(scope="session")
def maria() -> Iterator[mariadb.Server]:
    with mariadb.running() as running:
        yield running


def new_database(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue({"postgresql": "server", "mariadb": "maria"}[request.param]).new_database()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture(params=["sqlite", *SERVERS])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database."""
    return request.getfixturevalue("sqlite_url") if request.param == "sqlite" else new_database(request)


@pytest.fixture(scope="session", params=["memory", *SERVERS])
def new(request: pytest.FixtureRequest) -> New:
    """Opens empty stores; takes the settings of `Store.memory`."""
    if request.param == "memory":
        return Store.memory
    url = new_database(request)

    def new(**settings: Any) -> Store:
        return Store(url, **({"namespace": f"one of its own, {next(_numbers)}"} | settings))

    return new


@pytest.fixture(scope="session", params=["memory", *SERVERS])
def kept(request: pytest.FixtureRequest) -> Iterator[Store]:
    """One store for many examples, each of which clears it first: opening one costs more than most tests."""
    with Store("sqlite://" if request.param == "memory" else new_database(request)) as store:
        yield store


class Clock:
    """Stands for the time module in the store: `time` can be set forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        for module in ("_tenant", "_rows", "_room", "_derived", "_export"):
            monkeypatch.setattr(f"ctxshrink.store.{module}.time", self)

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture(scope="session", params=["sqlite", *SERVERS])
def shared_urls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database for tests that leave it empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('shared')}/store.db"
    return new_database(request)
