"""A PostgreSQL server for the tests: a real one, in a temporary folder, on a Unix socket."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from tests.store.servers import Server

_FAST = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``: on the path, or where Debian puts those of each version."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


def unprivileged(own: str = "postgres") -> str | None:
    """Whom to run the server as: it refuses to be root. None: as who we are.

    Args:
        own: Who is preferred.
    """
    if os.geteuid() != 0:
        return None
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in (own, "nobody", "daemon") if name in names)


@contextmanager
def running() -> Iterator[Server]:
    """A server, stopped in the end."""
    home = programs()
    if home is None:
        missing("no PostgreSQL server is installed: initdb is neither on the PATH nor in /usr/lib/postgresql/*/bin")
    user = unprivileged()
    # Not pytest's own folder, which others may not enter; and a socket's path may have 107 characters only.
    folder = Path(tempfile.mkdtemp(prefix="ctxshrink-pg-"))
    log = folder / "log"
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        options = ["-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        subprocess.run([home / "initdb", "-D", data, *options], check=True, capture_output=True, user=user, cwd=folder)
        settings = ["listen_addresses=", f"unix_socket_directories={folder}", "max_connections=200"]
        settings += ["log_min_messages=fatal", "lc_messages=C", *_FAST]
        command = [home / "postgres", "-D", data, *(word for setting in settings for word in ("-c", setting))]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, user=user, cwd=folder)
        try:
            form = f"postgresql+{{driver}}://tests@/{{database}}?host={folder}"
            server = Server(form, "psycopg", "postgres", isolation_level="AUTOCOMMIT")
            server.wait(process, log)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # A fast shutdown: it waits for no connection.
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def missing(reason: str) -> NoReturn:
    """On a user's machine a reason to skip, on the project's own a failure: there, all tests are run."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
