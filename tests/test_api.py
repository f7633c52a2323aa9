"""The public page, and what importing it must not bring in."""

import subprocess
import sys

import pytest

import ctxshrink

EXPORTED = {
    "Adaptive",
    "AllOf",
    "BudgetError",
    "ConfigError",
    "Conversation",
    "CtxShrinkError",
    "Decision",
    "FormatError",
    "KeepFacts",
    "KeepRatio",
    "Lossless",
    "MissingExtraError",
    "ModelError",
    "PerplexityGuardrail",
    "Segment",
    "ShrinkResult",
    "Shrinker",
    "StoreError",
    "TokenBudget",
    "Verdict",
    "__version__",
    "shrink_prompt",
}
HEAVY = {"torch", "transformers", "onnxruntime", "tokenizers", "langchain_core", "llama_index", "tiktoken", "onnx"}
HEAVY |= {"sqlalchemy", "tree_sitter", "selectolax", "langchain"}


def test_exported_names() -> None:
    assert set(ctxshrink.__all__) == EXPORTED
    assert all(getattr(ctxshrink, name).__doc__ for name in EXPORTED - {"__version__"})


@pytest.mark.parametrize("module", ["ctxshrink", "ctxshrink.testing", "ctxshrink.cli"])
def test_importing_brings_in_nothing_heavy(module: str) -> None:
    code = f"import {module}, sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_errors_form_one_tree() -> None:
    for error in (ctxshrink.ConfigError, ctxshrink.MissingExtraError, ctxshrink.ModelError):
        assert issubclass(error, ctxshrink.CtxShrinkError)
    assert issubclass(ctxshrink.BudgetError, ctxshrink.ConfigError)
    assert issubclass(ctxshrink.FormatError, ValueError)


def test_a_missing_extra_says_how_to_get_it() -> None:
    assert 'pip install "ctxshrink[langchain]"' in str(ctxshrink.MissingExtraError("the retriever", "langchain"))
