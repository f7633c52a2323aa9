import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ctxshrink._outfile import check_outfile, write_report
from ctxshrink.cli import app
from ctxshrink.errors import ConfigError


def test_a_file_that_can_be_written_is_not_made(tmp_path: Path) -> None:
    check_outfile(None, "--json")
    check_outfile(tmp_path / "new.json", "--json")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.json").write_text("kept", "utf-8")
    check_outfile(tmp_path / "old.json", "--json")
    assert (tmp_path / "old.json").read_text("utf-8") == "kept"


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--out .*x.json: no such folder; make .*no first$"):
        check_outfile(tmp_path / "no" / "x.json", "--out")
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        check_outfile(tmp_path, "--json")
    file = tmp_path / "file"
    file.write_text("", "utf-8")
    with pytest.raises(ConfigError, match="no such folder"):
        check_outfile(file / "x.json", "--json")


def test_a_folder_without_permission_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("root may write everywhere")
        with pytest.raises(ConfigError, match="permission denied"):
            check_outfile(tmp_path / "x.json", "--json")
    finally:
        tmp_path.chmod(0o700)


def test_a_report_holds_settings_environment_and_figures(tmp_path: Path) -> None:
    write_report(None, {}, {})
    write_report(tmp_path / "r.json", {"keep": 0.5}, {"größe": 3})
    report = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert (report["settings"], report["größe"]) == ({"keep": 0.5}, 3)
    assert "ctxshrink" in report["environment"]
    with pytest.raises(ConfigError, match=r"--json .*: cannot be written"):
        write_report(tmp_path, {}, {})


@pytest.mark.parametrize(
    "command",
    [
        ["bench", "rag", "--data", "none.jsonl"],
        ["bench", "chat", "--data", "none.jsonl"],
        ["bench", "tools", "--data", "none.jsonl"],
        ["bench", "cost", "--data", "none.jsonl"],
        ["bench", "growth", "--turns", "1000000"],
        ["bench", "guardrail", "--data", "none"],
        ["bench", "speed", "--lengths", "100M"],
        ["bench", "calibrate", "--data", "none.jsonl"],
        ["calibrate", "--data", "none.jsonl"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_commands_look_before_they_work(command: list[str], tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "out.json"
    done = CliRunner().invoke(app, [*command, "--json", str(missing)], env={"NO_COLOR": "1"})
    assert done.exit_code == 2
    assert f"{missing}: no such folder" in " ".join(done.stderr.split())
    assert "Traceback" not in done.output
