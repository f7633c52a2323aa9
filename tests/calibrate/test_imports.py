"""The package's names come on use: the command line imports it for its command alone."""

import subprocess
import sys

import pytest

import ctxshrink.calibrate as package


def test_every_name_is_there() -> None:
    assert all(getattr(package, name) is not None for name in package.__all__)
    from ctxshrink.calibrate.run import calibrate

    assert package.calibrate is calibrate
    with pytest.raises(AttributeError, match="no attribute 'calibrated'"):
        _ = package.calibrated  # type: ignore[attr-defined]


def test_the_command_line_does_not_import_what_calibrates() -> None:
    code = "import sys, ctxshrink.cli; print([m for m in sys.modules if m.startswith('ctxshrink.calibrate.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "['ctxshrink.calibrate.command']"
