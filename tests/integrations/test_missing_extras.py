"""Without its framework an integration says what to install, and the core does not need any."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("package", "framework", "extra"),
    [
        ("langchain_ctxshrink", "langchain_core", "langchain"),
        ("llama_index_ctxshrink", "llama_index.core", "llama-index"),
    ],
)
def test_names_the_extra(package: str, framework: str, extra: str) -> None:
    # A None in sys.modules makes an import fail as if the package were not there.
    code = f"import sys; sys.modules[{framework!r}] = None; import {package}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f'MissingExtraError: {package} needs an optional package: pip install "ctxshrink[{extra}]"' in done.stderr


@pytest.mark.parametrize("framework", ["langchain", "langgraph"])
def test_only_the_middleware_needs_more_than_the_core(framework: str) -> None:
    pytest.importorskip("langchain_core")
    code = (
        f"import sys; sys.modules[{framework!r}] = None; import langchain_ctxshrink as l; l.CtxShrinkSummarizer; "
        "assert not hasattr(l, 'other'); l.CtxShrinkMiddleware"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'MissingExtraError: CtxShrinkMiddleware needs an optional package: pip install "ctxshrink[langchain]"' in (
        done.stderr
    )


@pytest.mark.parametrize(
    ("package", "name"),
    [("langchain_ctxshrink", "ChatCompressedHF"), ("llama_index_ctxshrink", "CompressedHuggingFaceLLM")],
)
def test_only_the_local_models_need_torch(package: str, name: str) -> None:
    pytest.importorskip("langchain_core")
    pytest.importorskip("llama_index.core")
    code = f"import sys; sys.modules['torch'] = None; import {package} as p; assert not hasattr(p, 'other'); p.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f'MissingExtraError: {name} needs an optional package: pip install "ctxshrink[kv]"' in done.stderr


@pytest.mark.parametrize("module", ["ctxshrink.store", "ctxshrink.bench.store_run"])
def test_the_store_names_its_extra(module: str) -> None:
    code = f"import sys; sys.modules['sqlalchemy'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "ctxshrink[store]"' in done.stderr
