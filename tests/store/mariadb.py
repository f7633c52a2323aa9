"""A MariaDB server for the tests: a real one, in a temporary folder, on a Unix socket."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.store.postgres import unprivileged
from tests.store.servers import Server

_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
_FAST = ["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--sync-binlog=0"]
_SMALL = ["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--performance-schema=OFF"]


@contextmanager
def running() -> Iterator[Server]:
    """A server, stopped in the end. Where none is installed, or no driver for it, the test is skipped."""
    program, setup = (shutil.which(name, path=_PATH) for name in ("mariadbd", "mariadb-install-db"))
    if program is None or setup is None:
        pytest.skip("no MariaDB server is installed: mariadbd and mariadb-install-db are not on the PATH")
    if importlib.util.find_spec("pymysql") is None:
        pytest.skip("no driver for MariaDB is installed: pip install pymysql")
    user = unprivileged("mysql")
    # Not pytest's own folder, which others may not enter; and a socket's path may have 107 characters only.
    folder = Path(tempfile.mkdtemp(prefix="ctxshrink-my-"))
    log, socket = folder / "log", folder / "socket"
    try:
        if user is not None:
            shutil.chown(folder, user)
        place = ["--no-defaults", f"--datadir={folder / 'data'}", *([f"--user={user}"] if user else [])]
        options = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        subprocess.run([setup, *place, *options], check=True, capture_output=True, cwd=folder)
        settings = [f"--socket={socket}", f"--pid-file={folder / 'pid'}", "--skip-networking", "--max-connections=200"]
        command = [program, *place, *settings, *_SMALL, *_FAST]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
        try:
            server = Server(f"{{driver}}://root@/{{database}}?unix_socket={socket}", "mariadb+pymysql", "")
            server.wait(process, log)
            yield server
        finally:
            process.kill()  # Its data goes away: to write all of it to the disk first takes many seconds.
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
