"""Distilled nodes, in an ingestion pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from llama_index.core.bridge.pydantic import ConfigDict, Field, field_serializer
from llama_index.core.schema import BaseNode, MetadataMode, TransformComponent

from ctxshrink.distill.types import Distiller
from ctxshrink.pipeline.adapters import from_llama_index
from ctxshrink.pipeline.batch import DerivedStore
from ctxshrink.pipeline.versions import versions

from ._copies import rebuilt


class CtxShrinkDistill(TransformComponent):
    """Puts each node's distilled text in its place, in an ``IngestionPipeline``: after the splitter, say.

    Nodes keep their order, ids, relationships and metadata, and the given ones are not changed; what cannot be
    distilled keeps its text too. Two metadata keys are added, out of sight of prompts and embeddings: ``ctxshrink``
    says as JSON what was made of the text (``action, reason, method, tokens_before, tokens_after, source, recipe``),
    and ``ctxshrink_original`` is the id of the full text in the store, for the expand tool.

    What is in the store is not distilled again, whatever the pipeline's own cache and docstore know. That cache keeps
    what came out, so what was not final (a language model that could not be reached) is tried again only once the cache
    is cleared. Running in several processes (``num_workers``) needs a distiller that pickles and a store that is not in
    memory.

    Raises:
        pydantic.ValidationError: A setting is wrong; names it. It is a ValueError. Running raises `StoreError` when the
            store fails.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    distiller: Distiller = Field(description="Makes the distilled texts.")
    store: DerivedStore | None = Field(default=None, description="Keeps them, and the originals.")
    batch: int = Field(default=32, ge=1, description="Nodes that are distilled and stored at a time.")

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex serializes the component under."""
        return "CtxShrinkDistill"

    @field_serializer("distiller", "store")
    def _describe(self, value: Any) -> Any:
        # Not data. LlamaIndex finds a pipeline's cached results by this form: what they depend on is the recipe.
        return dict(value.recipe) if isinstance(value, Distiller) else value is not None

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        lost = {"distiller", "store"} - state["__dict__"].keys()  # LlamaIndex drops what it cannot pickle.
        if lost:
            raise TypeError(f"CtxShrinkDistill cannot be pickled: its {' and '.join(sorted(lost))} cannot")
        return state

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        """A copy of each node with its distilled text.

        Args:
            nodes: Any nodes.
            kwargs: Not used; part of LlamaIndex's interface.
        """
        made = versions(from_llama_index(nodes), self.distiller, self.store, batch=self.batch)
        return [
            rebuilt(node, node.get_content(MetadataMode.NONE) if new.text is None else new.text, new.metadata)
            for node, new in zip(nodes, made, strict=True)
        ]

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        """The same in a worker thread: LlamaIndex's own twin would block the event loop."""
        return await asyncio.to_thread(self, nodes)
