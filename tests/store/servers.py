"""What the tests' database servers share: new databases, and waiting until one answers."""

from __future__ import annotations

import os
import subprocess
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest


class Server:
    """A running server.

    Args:
        form: URL of a database, with ``{database}`` and ``{driver}`` in it.
        driver: The usual driver.
        home: A database that is always there.
        options: Of the engine that makes databases.
    """

    def __init__(self, form: str, driver: str, home: str, **options: Any) -> None:
        self._form, self._driver, self._home, self._options = form, driver, home, options
        self._numbers = count()

    def url(self, database: str, driver: str | None = None) -> str:
        return self._form.format(database=database, driver=driver or self._driver)

    def new_database(self) -> str:
        """The URL of an empty database."""
        from sqlalchemy import create_engine

        name = f"tests_{os.getpid()}_{next(self._numbers)}"
        engine = create_engine(self.url(self._home), **self._options)
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)

    def wait(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Until it answers, a minute at most."""
        from sqlalchemy import create_engine
        from sqlalchemy.exc import OperationalError

        engine = create_engine(self.url(self._home))
        for _ in range(600):
            if process.poll() is not None:
                pytest.fail(f"the server of {self._driver} did not start: {log.read_text(errors='replace')}")
            try:
                engine.connect().close()
            except OperationalError:
                time.sleep(0.1)
            else:
                return engine.dispose()
        pytest.fail(f"the server of {self._driver} did not answer within a minute")
