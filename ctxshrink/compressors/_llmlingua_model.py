"""LLMLingua-2's token classifiers: how probable it is that a token is kept."""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxshrink.errors import ConfigError, MissingExtraError, ModelError
from ctxshrink.tokens import well_formed
from ctxshrink.types import Span

FAMILIES = {"bert": "bert-base-multilingual-cased", "xlm-roberta": "xlm-roberta-large"}
"""Model types that the llmlingua package knows, and the names that it knows them by."""
WINDOW = 512
"""Tokens of a chunk, special ones included: what LLMLingua-2's models were trained on and the package reads."""
_KEEP = 1
"""Label of the tokens that are kept."""


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A text as a model reads it.

    Attributes:
        tokens: Its tokens, none of them special.
        spans: Characters of each.
    """

    tokens: list[str]
    spans: list[Span]


class TokenClassifier:
    """A token-classification model with two labels, the second of which is "keep". Safe to use from several threads.

    Args:
        model: A folder, or the name of a model on the Hugging Face hub.
        device: A torch device.
        trust_remote_code: Whether code that comes with the model may run.

    Attributes:
        name: The folder or name.
        room: Most tokens of a text that are read at once.

    Raises:
        MissingExtraError: llmlingua is not installed.
        ConfigError: The folder does not exist, the model is not one of this kind, or the device is not to be had.
        ModelError: The model cannot be loaded.
    """

    def __init__(self, model: str | Path, *, device: str, trust_remote_code: bool) -> None:
        try:
            import torch
            import transformers

            utils: Any = import_module("llmlingua.utils")
        except ImportError as error:
            raise MissingExtraError("LLMLingua2Compressor", "llmlingua") from error
        self.name = str(model)
        self._torch: Any = torch
        self._dataset: Any = utils.TokenClfDataset
        self._device = _device(torch, device)
        with _random_state_kept(torch):
            config, tokenizer, self._model = _load(transformers, model, trust_remote_code)
        self._family = FAMILIES[config.model_type]
        self._tokenizer = _Tokens(tokenizer, self._dataset([], model_name=self._family), self.name)
        positions = int(config.max_position_embeddings)
        if config.model_type == "xlm-roberta":
            positions -= int(config.pad_token_id) + 1  # its positions are counted from behind the padding's
        self.room = min(WINDOW, positions) - 2
        if self.room < 8:
            raise ConfigError(f"{self.name} reads {positions} tokens at once, which is too few")
        self._model.to(self._device).eval()

    def tokenize(self, texts: Sequence[str]) -> list[Tokenized]:
        """The tokens of each text. Text that looks like a special token (``[SEP]``, ``<pad>``) is text."""
        return self._tokenizer.encode(texts)

    def probabilities(self, chunks: Sequence[list[str]]) -> list[NDArray[np.float64]]:
        """One forward pass.

        Args:
            chunks: Tokens of a few texts, at most `room` of each.

        Returns:
            For each chunk the probability that a token is kept, shape (tokens,).

        Raises:
            ModelError: The model gives no finite numbers.
        """
        torch = self._torch
        longest = max(map(len, chunks))
        rows = self._dataset(chunks, max_len=longest + 2, tokenizer=self._tokenizer, model_name=self._family)
        read = [rows[i] for i in range(len(chunks))]
        ids, mask = (torch.stack([row[key] for row in read]).to(self._device) for key in ("ids", "mask"))
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=mask).logits
            kept = torch.softmax(logits.float(), dim=-1)[..., _KEEP].double().cpu().numpy()
        if not np.isfinite(kept).all():
            raise ModelError(f"{self.name} gave a probability that is not finite")
        return [row[1 : 1 + len(chunk)] for row, chunk in zip(kept, chunks, strict=True)]


class _Tokens:
    """A tokenizer that never changes, in the shape in which the package's data set asks for one."""

    def __init__(self, tokenizer: Any, special: Any, name: str) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ConfigError(f"the tokenizer of {name} does not say where its tokens stand: it needs a tokenizer.json")
        from tokenizers import Tokenizer

        made = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())  # a copy: the user's may be in use elsewhere
        made.no_padding()
        made.no_truncation()
        made.encode_special_tokens = True
        self._made = made
        wanted = (special.cls_token, special.sep_token, special.unk_token, special.pad_token)
        missing = [token for token in wanted if made.token_to_id(token) is None]
        if missing:
            raise ConfigError(f"the tokenizer of {name} has no {', '.join(missing)}; its architecture needs them")
        self._unknown = str(special.unk_token)
        self._unknown_id = int(made.token_to_id(self._unknown) or 0)
        self._special = frozenset(tokenizer.all_special_ids)

    def encode(self, texts: Sequence[str]) -> list[Tokenized]:
        out: list[Tokenized] = []
        for found in self._made.encode_batch([well_formed(t) for t in texts], add_special_tokens=False):
            # Some vocabularies match a special token within text all the same. The package drops it then, or hides it.
            tokens = [
                self._unknown if i in self._special else token for i, token in zip(found.ids, found.tokens, strict=True)
            ]
            out.append(Tokenized(tokens, list(found.offsets)))
        return out

    def tokenize(self, tokens: list[str]) -> list[str]:
        """Tokens of a chunk, which is given as its tokens."""
        return tokens

    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]:
        """Ids, as the package's data set asks for them."""
        return [self._unknown_id if (i := self._made.token_to_id(token)) is None else i for token in tokens]


def chunks(starts: NDArray[np.int64], sentences: NDArray[np.int64], room: int) -> list[Span]:
    """Cuts tokens into chunks: at the start of a sentence where there is one in reach, else of a word, else anywhere.

    Args:
        starts: Word of each token, ascending, shape (tokens,).
        sentences: Sentence of each token, ascending, shape (tokens,).
        room: Most tokens of a chunk.

    Returns:
        Ranges of tokens; they follow each other and hold every token once.
    """
    size = len(starts)
    heads = [np.flatnonzero(np.diff(row)) + 1 for row in (sentences, starts)]
    out: list[Span] = []
    at = 0
    while size - at > room:
        cut = at + room
        for head in heads:
            last = int(np.searchsorted(head, at + room, side="right")) - 1
            if last >= 0 and head[last] > at:
                cut = int(head[last])
                break
        out.append((at, cut))
        at = cut
    return [*out, (at, size)] if size > at else out


@contextmanager
def _random_state_kept(torch: Any) -> Generator[None]:
    """Loading draws random weights that are then replaced; the program's own draws must not change by that."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def _device(torch: Any, device: str) -> Any:
    try:
        made = torch.device(device)
        torch.empty(0, device=made)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ConfigError(f"device {device!r} is not to be had: {error}") from error
    return made


def _load(transformers: Any, model: str | Path, trust_remote_code: bool) -> tuple[Any, Any, Any]:
    folder = Path(model)
    local = folder.is_dir()
    if not local and (isinstance(model, Path) or model.startswith((".", "/", "~")) or "\\" in model or folder.exists()):
        raise ConfigError(f"model {str(model)!r} is not a folder; give one, or the name of a model on the hub")
    name = str(model)
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": local}
    try:
        config = transformers.AutoConfig.from_pretrained(name, **options)
        _check(config, name)
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, **options)
        loaded, told = transformers.AutoModelForTokenClassification.from_pretrained(
            name, config=config, dtype="float32", output_loading_info=True, **options
        )
    except ConfigError:
        raise
    except Exception as error:  # a damaged file fails in as many ways as there are formats
        raise ModelError(f"cannot load {name!r} with transformers: {error}") from error
    if told["missing_keys"]:
        raise ModelError(
            f"{name} lacks weights, {sorted(told['missing_keys'])[0]} among them: was it trained to classify?"
        )
    return config, tokenizer, loaded


def _check(config: Any, name: str) -> None:
    architectures = [str(a) for a in config.architectures or ()]
    if not any("ForTokenClassification" in a for a in architectures):
        raise ConfigError(f"{name} is no token-classification model but {', '.join(architectures) or 'says not what'}")
    if config.model_type not in FAMILIES:
        raise ConfigError(f"{name} has the architecture {config.model_type!r}; LLMLingua-2 has {', '.join(FAMILIES)}")
    if config.num_labels != 2:
        raise ConfigError(f"{name} has {config.num_labels} labels; LLMLingua-2's models have two, drop and keep")


__all__ = ["FAMILIES", "TokenClassifier", "Tokenized", "chunks"]
