"""Copies of nodes with another text: ids, relationships, scores and metadata stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode, Node


def rebuilt(node: BaseNode, text: str, metadata: Mapping[str, Any]) -> BaseNode:
    """A copy with this text and with this metadata beside its own, out of sight of prompts and embeddings."""
    copy = node.model_copy(
        update={
            "metadata": {**node.metadata, **metadata},
            "excluded_embed_metadata_keys": _with(metadata, node.excluded_embed_metadata_keys),
            "excluded_llm_metadata_keys": _with(metadata, node.excluded_llm_metadata_keys),
        }
    )
    if text == node.get_content(MetadataMode.NONE):
        return copy
    if isinstance(copy, Node) and copy.text_resource is not None:
        copy.text_resource = copy.text_resource.model_copy(update={"text": text})  # set_content drops its other fields.
    else:
        copy.set_content(text)
    return copy


def _with(new: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    return [*(key for key in keys if key not in new), *new]
