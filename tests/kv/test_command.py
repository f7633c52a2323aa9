"""``ctxshrink kv``: from a file to an answer, what it reckons, and errors without tracebacks."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from typer.testing import CliRunner

from ctxshrink.errors import ConfigError
from ctxshrink.kv._estimate import estimate_kv
from ctxshrink.kv._plot import bars, size_of
from ctxshrink.kv.command import kv, quant_words
from ctxshrink.kv.compressor import KVCompressor
from tests.kv.models import PAGE, ids_of, model_of, tokenizer_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    model_of("llama-gqa").save_pretrained(made)
    tokenizer_of().save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("other")
    model_of("qwen2").save_pretrained(made)
    tokenizer_of().save_pretrained(made)
    return made


def run(*words: Any) -> Any:
    return CliRunner().invoke(kv, [str(word) for word in words])


def test_compresses_and_answers(folder: Path, other: Path, tmp_path: Path) -> None:
    text, out, plot = tmp_path / "page.txt", tmp_path / "page.ctxkv", tmp_path / "page.svg"
    text.write_text(PAGE * 3, encoding="utf-8")
    made = run("compress", text, "--model", folder, "--keep", 0.25, "--recent", 8, "--out", out, "--quant", "int8,int4",
               "--no-guardrail", "--plot", plot, "--json")  # fmt: skip
    assert made.exit_code == 0, made.output
    report = json.loads(made.stdout)
    assert report["kept"] == round(report["tokens"] * 0.25)
    assert report["nbytes"] < report["nbytes_full"] * 0.25
    assert report["memory"] is None or report["memory"]["kind"] in ("RSS", "VRAM")
    drawn = "".join(ET.parse(plot).getroot().itertext())
    assert "page.txt: keep 0.25, keydiff" in drawn
    assert size_of(report["nbytes"]) in drawn

    asked = run("ask", out, "Who signed it?", "--model", folder, "--max-tokens", 8)
    assert asked.exit_code == 0, asked.output
    told = json.loads(run("ask", out, "Who signed it?", "--model", folder, "--max-tokens", 8, "--json").stdout)
    assert asked.stdout == told["answer"] + "\n"
    assert (told["tokens"], told["finish_reason"]) == (8, "length")
    assert told["context"]["tokens"] == report["tokens"]

    wrong = run("ask", out, "Who?", "--model", other)
    assert wrong.exit_code == 2
    assert "made with another model" in wrong.stderr
    out.write_bytes(out.read_bytes()[:-7])
    broken = run("ask", out, "Who?", "--model", folder)
    assert broken.exit_code == 2
    assert "truncated or changed" in broken.stderr


def test_messages_and_the_report_on_stderr(folder: Path, tmp_path: Path) -> None:
    talk, out = tmp_path / "talk.json", tmp_path / "talk.ctxkv"
    messages = [{"role": "system", "content": PAGE}, {"role": "user", "content": "Hello"}]
    talk.write_text(json.dumps({"messages": messages}), encoding="utf-8")
    made = run("compress", talk, "--model", folder, "--keep", 0.5, "--out", out)
    assert made.exit_code == 0, made.output
    assert made.stdout == ""
    assert "KL" in made.stderr
    assert f"written to {out}" in made.stderr.replace("\n", "")
    assert run("ask", out, "When?", "--model", folder, "--max-tokens", 4).exit_code == 0
    text = tmp_path / "talk.ctxkv2"
    assert run("compress", talk, "--model", folder, "--as", "text", "--out", text, "--no-guardrail").exit_code == 0


def test_an_adapter_is_named_by_its_folder(folder: Path, tmp_path: Path) -> None:
    from ctxshrink.kv.adapter import KVDistillAdapter

    text, adapter = tmp_path / "page.txt", tmp_path / "adapter"
    text.write_text(PAGE, encoding="utf-8")
    KVDistillAdapter.new(model_of("llama-gqa"), width=8, rank=2).save(adapter)
    words = ("compress", text, "--model", folder, "--out", tmp_path / "x.ctxkv", "--no-guardrail", "--json")
    made = run(*words, "--select", adapter)
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["attempts"][0]["select"] == "kv-distill"
    wrong = run(*words, "--select", folder)
    assert wrong.exit_code == 2
    assert "no KV adapter here" in wrong.stderr.replace("\n", " ")


def test_bad_input_is_one_line(folder: Path, tmp_path: Path) -> None:
    text, empty = tmp_path / "page.txt", tmp_path / "empty.txt"
    text.write_text(PAGE, encoding="utf-8")
    empty.write_bytes(b"")
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9")
    bare, hollow, odd = tmp_path / "bare", tmp_path / "hollow", tmp_path / "odd"
    for made in (bare, hollow, odd):
        made.mkdir()
    for made in (hollow, odd):
        (made / "config.json").write_text("{}", encoding="utf-8")
    tokenizer_of().save_pretrained(odd)
    out = tmp_path / "x.ctxkv"
    cases = [
        (("compress", tmp_path / "no.txt", "--model", folder, "--out", out), "no.txt: cannot be read"),
        (("compress", latin, "--model", folder, "--out", out), "not UTF-8 text (byte 3)"),
        (("compress", empty, "--model", folder, "--out", out), "the context is empty"),
        (("compress", text, "--model", tmp_path / "no", "--out", out), "no such folder"),
        (("compress", text, "--model", bare, "--out", out), "it has no config.json"),
        (("compress", text, "--model", hollow, "--out", out), "has no tokenizer"),
        (("compress", text, "--model", odd, "--out", out), "cannot be read as a causal model"),
        (("compress", text, "--model", folder, "--out", tmp_path / "no" / "x"), "--out"),
        (("compress", text, "--model", folder, "--out", out, "--quant", "int3"), "--quant must be"),
        (("compress", text, "--model", folder, "--out", out, "--keep", 0), "keep must be in (0, 1]"),
        (("compress", text, "--model", folder, "--out", out, "--select", "best"), "best"),
        (("compress", text, "--model", folder, "--out", out, "--as", "messages"), "holds no messages"),
        (("compress", text, "--model", folder, "--out", out, "--as", "pdf"), "--as must be"),
        (("compress", text, "--model", folder, "--out", out, "--device", "moon"), "--device moon"),
        (("ask", tmp_path / "no.ctxkv", "Who?", "--model", folder), "no such file; make it with"),
        (("ask", text, "Who?", "--model", folder), "page.txt"),
        (("estimate", "--model", bare, "--tokens", 10), "cannot be read"),
        (("estimate", "--model", odd, "--tokens", 10), "does not say how many layers"),
        (("estimate", "--model", folder, "--tokens", 10, "--keep", 2), "keep must be in (0, 1]"),
        (("estimate", "--model", folder, "--tokens", 10, "--dtype", "int8"), "float32, float16, bfloat16"),
        (("estimate", "--model", odd, "--tokens", 10, "--gpu-memory", 80), "needs --weights"),
    ]
    for words, message in cases:
        done = run(*words)
        assert done.exit_code == 2, (words, done.output)
        assert message in done.stderr.replace("\n", " "), (words, done.stderr)
        assert "Traceback" not in done.output
    assert not out.exists()


def test_estimates_are_what_is_stored() -> None:
    for family in ("llama-gqa", "qwen3", "gemma3"):
        model = model_of(family)
        ids = ids_of(1, 400)
        for quant in ((None, None), ("int8", "int4"), ("int4", "int4")):
            made = KVCompressor(model, keep=0.4, recent=32, quant=quant).compress(ids)
            found = estimate_kv(model.config, 400, keep=0.4, quant=quant, dtype="float32")
            assert found.kept == made.physical
            assert found.nbytes_full == pytest.approx(made.report.nbytes_full, rel=0.02)
            assert found.nbytes == pytest.approx(made.report.nbytes, rel=0.05)


def test_estimates_users_of_a_gpu(folder: Path, tmp_path: Path) -> None:
    config = {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    words = ("estimate", "--model", tmp_path, "--tokens", 32_000, "--quant", "int8,int4", "--gpu-memory", 80)
    done = run(*words, "--weights", 16, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["nbytes_full"] == 32_000 * 131_072
    assert report["users_full"] == (72 - 16) * 2**30 // (32_000 * 131_072)
    assert report["users"] > 15 * report["users_full"]
    shown = run(*words, "--weights", 16, "--plot", tmp_path / "x.svg")
    assert "contexts on the GPU" in shown.stdout
    assert ET.parse(tmp_path / "x.svg").getroot().tag.endswith("svg")
    own = run("estimate", "--model", folder, "--tokens", 100, "--gpu-memory", 0.01)
    assert own.exit_code == 0, own.output


def test_estimate_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None\n"
        "from ctxshrink.kv.command import kv\n"
        f"kv(['estimate', '--model', {str(folder)!r}, '--tokens', '1000'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "KV cache of a context" in done.stdout
    code = (
        code.replace("'estimate'", "'ask', 'x', 'y'")
        .replace(", '--tokens', '1000'", "")
        .replace("'x'", f"{__file__!r}")
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'pip install "ctxshrink[kv]"' in done.stderr


@pytest.mark.parametrize(
    ("text", "pair"),
    [(None, (None, None)), ("int8", ("int8", "int8")), ("int8, int4", ("int8", "int4")), ("none,int4", (None, "int4"))],
)
def test_quantization_in_words(text: str | None, pair: tuple[str | None, str | None]) -> None:
    assert quant_words(text) == pair


@pytest.mark.parametrize("text", ["", "int8,", "int8,int8,int8", "8"])
def test_wrong_quantization(text: str) -> None:
    with pytest.raises(ConfigError, match="--quant must be"):
        quant_words(text)


def test_the_picture_is_well_formed_for_any_words() -> None:
    drawn = bars('<a> & "b"', [("x<y", [("full", 0), ("stored", 0)]), ("none", [])])
    assert ET.fromstring(drawn)[0].text == '<a> & "b"'
    widths = [
        float(e.attrib["width"])
        for e in ET.fromstring(bars("t", [("g", [("a", 400), ("b", 100)])]))
        if "height" in e.attrib
    ]
    assert widths[1] == pytest.approx(4 * widths[2], rel=0.01)
    assert [size_of(n) for n in (0, 1023, 1536, 3 * 2**30, 2**50)] == [
        "0 B",
        "1,023 B",
        "1.5 KiB",
        "3.0 GiB",
        "1,024.0 TiB",
    ]
