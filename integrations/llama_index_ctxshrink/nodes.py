"""Nodes: shrunk after retrieval for the query, or at ingestion without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from llama_index.core.bridge.pydantic import ConfigDict, Field, field_serializer
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import (
    BaseComponent,
    BaseNode,
    MetadataMode,
    NodeWithScore,
    QueryBundle,
    TransformComponent,
)

from ctxshrink.seats import METADATA_KEY, check_goal, emptied, figures
from ctxshrink.shrinker import Shrinker
from ctxshrink.types import OnReject

from ._copies import rebuilt


class _NodeSettings(BaseComponent):
    """The settings that both seats share."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    shrinker: Shrinker = Field(default_factory=Shrinker, description="Does the work.")
    keep: float | None = Field(default=None, description="Share of the tokens to keep, in (0, 1].")
    max_tokens: int | None = Field(default=None, description="Most tokens of the text of all nodes together.")
    drop_empty: bool = Field(default=True, description="Leave out nodes that came out empty.")
    pin: Callable[[BaseNode], bool] | None = Field(default=None, description="Nodes that must stay exact.")
    on_reject: OnReject | None = Field(default=None, description="See ctxshrink.Shrinker.shrink_text.")
    strict: bool = Field(default=False, description="See ctxshrink.Shrinker.shrink_text.")

    def model_post_init(self, context: Any, /) -> None:
        """Check the goal now and not at the first call."""
        check_goal(self.keep, self.max_tokens)

    @field_serializer("shrinker", "pin")
    def _describe(self, value: object) -> str | None:
        # Neither is data; LlamaIndex hashes and shows components through their serialized form.
        return None if value is None else repr(value)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "shrinker" not in state["__dict__"]:  # LlamaIndex drops what it cannot pickle; the copy would use a default.
            raise TypeError(f"{type(self).__name__} cannot be pickled: a plug-in of its shrinker cannot")
        return state

    def _shrink(self, nodes: Sequence[BaseNode], query: str | None) -> list[BaseNode | None]:
        """A copy of each node with its text shrunk; None for those to leave out."""
        plain = [{"text": node.get_content(MetadataMode.NONE), "title": node.metadata.get("title")} for node in nodes]
        result = self.shrinker.shrink_documents(
            plain,
            query,
            keep=self.keep,
            max_tokens=self.max_tokens,
            pin=None if self.pin is None else [i for i, node in enumerate(nodes) if self.pin(node)],
            on_reject=self.on_reject,
            strict=self.strict,
        )
        drop = self.drop_empty and result.mode == "apply"
        return [
            None if drop and emptied(decision) else rebuilt(node, out["text"], {METADATA_KEY: figures(decision)})
            for node, out, decision in zip(nodes, result.output, result.decisions, strict=True)
        ]


class CtxShrinkPostprocessor(_NodeSettings, BaseNodePostprocessor):
    """Shrinks retrieved nodes together for the query: what answers it stays, whichever node it is in.

    Scores, ids, relationships and metadata stay; the given nodes are not changed. The metadata key ``ctxshrink`` says
    what happened to each node (``action, reason, tokens_before, tokens_after, score``) and is kept out of prompts and
    embeddings. A metadata ``title`` helps ranking; metadata is neither shrunk nor counted. Give ``keep`` or
    ``max_tokens``, or leave the goal to the shrinker's policy.

    Raises:
        pydantic.ValidationError: A setting is wrong; names it. It is a ValueError.
    """

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex serializes the component under."""
        return "CtxShrinkPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = None if query_bundle is None else query_bundle.query_str
        shrunk = self._shrink([scored.node for scored in nodes], query)
        pairs = zip(nodes, shrunk, strict=True)
        return [scored.model_copy(update={"node": node}) for scored, node in pairs if node is not None]

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._postprocess_nodes, nodes, query_bundle)


class CtxShrinkTransform(_NodeSettings, TransformComponent):
    """Shrinks nodes in an ingestion pipeline, without a query, by what they say.

    Settings and guarantees are those of `CtxShrinkPostprocessor`.
    """

    @classmethod
    def class_name(cls) -> str:
        """The name that LlamaIndex serializes the component under."""
        return "CtxShrinkTransform"

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        """Shrink the nodes together.

        Args:
            nodes: Any nodes.
            kwargs: Not used; part of LlamaIndex's interface.
        """
        return [node for node in self._shrink(nodes, None) if node is not None]

    async def acall(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        """The same in a worker thread: LlamaIndex's own twin would block the event loop."""
        return await asyncio.to_thread(self, nodes)
