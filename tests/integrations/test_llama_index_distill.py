"""Distilled nodes in a LlamaIndex ingestion pipeline, and distilled versions in a query engine."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, MetadataMode, NodeRelationship, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.utils import node_to_metadata_dict
from llama_index_ctxshrink import CtxShrinkDistill, CtxShrinkPostprocessor
from pydantic import ValidationError

from ctxshrink import Shrinker
from ctxshrink.compressors.distilled import DistillCompressor
from ctxshrink.distill import content_hash, recipe_key
from ctxshrink.pipeline import from_llama_index, run
from ctxshrink.store import Store, reference
from tests.integrations.material import QUESTION, TEXTS
from tests.pipeline.doubles import FirstHalf


def documents() -> list[Document]:
    return [Document(text=text, id_=f"doc-{i}", metadata={"file_name": f"{i}.txt"}) for i, text in enumerate(TEXTS)]


def pipeline(distiller: FirstHalf, store: Store | None, **settings: Any) -> IngestionPipeline:
    transformations: list[Any] = [SentenceSplitter(chunk_size=200), CtxShrinkDistill(distiller=distiller, store=store)]
    return IngestionPipeline(transformations=transformations, **settings)


def test_nodes_keep_all_but_their_text() -> None:
    store, distiller = Store.memory(), FirstHalf()
    nodes = SentenceSplitter(chunk_size=200).get_nodes_from_documents(documents())
    before = [node.model_copy(deep=True) for node in nodes]
    out = CtxShrinkDistill(distiller=distiller, store=store)(nodes)
    assert nodes == before
    for node, made in zip(nodes, out, strict=True):
        assert made.node_id == node.node_id
        assert made.relationships == node.relationships
        assert NodeRelationship.SOURCE in made.relationships
        note = json.loads(made.metadata["ctxshrink"])
        added = {"ctxshrink", "ctxshrink_original"}
        assert {k: v for k, v in made.metadata.items() if k not in added} == node.metadata
        text = node.get_content(MetadataMode.NONE)
        assert text.startswith(made.get_content(MetadataMode.NONE))
        assert note["tokens_after"] < note["tokens_before"]
        assert (note["source"], note["recipe"]) == (content_hash(text), recipe_key(distiller.recipe))
        assert store.load(made.metadata["ctxshrink_original"]) == text
        for mode in (MetadataMode.LLM, MetadataMode.EMBED):
            assert "ctxshrink" not in made.get_content(mode)
            assert node.metadata["file_name"] in made.get_content(mode)


def test_what_cannot_be_distilled_keeps_its_text() -> None:
    nodes = [TextNode(text=TEXTS[0]), TextNode(text=""), TextNode(text="wipers. And more.")]
    out = CtxShrinkDistill(distiller=FirstHalf(poison="wipers"), store=Store.memory(), batch=2)(nodes)
    assert [n.get_content() for n in out[1:]] == ["", "wipers. And more."]
    assert json.loads(out[1].metadata["ctxshrink"]) == {"action": "kept", "reason": "empty"}
    assert "RuntimeError" in json.loads(out[2].metadata["ctxshrink"])["reason"]


def test_a_pipeline_is_incremental(tmp_path: Path) -> None:
    store, distiller = Store(f"sqlite:///{tmp_path}/corpus.db"), FirstHalf()
    whole = pipeline(distiller, store, docstore=SimpleDocumentStore(), vector_store=SimpleVectorStore())
    whole.transformations.append(MockEmbedding(embed_dim=8))
    first = whole.run(documents=documents())
    assert len(first) == 3
    assert whole.run(documents=documents()) == []
    assert len(distiller.asked) == 1
    changed = documents()
    changed[2].set_content("The radio is new. It has a clock. It is loud. It is black.")
    [again] = whole.run(documents=changed)
    assert distiller.asked[1:] == [["The radio is new. It has a clock. It is loud. It is black."]]
    assert again.ref_doc_id == "doc-2"
    fresh = pipeline(distiller, store).run(documents=documents())  # without docstore and cache: the store knows them
    assert [n.get_content() for n in fresh] == [n.get_content() for n in first]
    assert len(distiller.asked) == 2


def test_the_metadata_suits_indexes_that_take_no_nested_values() -> None:
    [node] = CtxShrinkDistill(distiller=FirstHalf(), store=Store.memory())([TextNode(text=TEXTS[0])])
    flat = node_to_metadata_dict(node, flat_metadata=True)  # raises for nested values
    assert flat["ctxshrink_original"] == reference(TEXTS[0])


def test_the_cache_of_a_pipeline_knows_the_recipe(tmp_path: Path) -> None:
    cache, one, other = IngestionCache(), FirstHalf(), FirstHalf(words=True)
    nodes = [TextNode(text=text, id_=str(i)) for i, text in enumerate(TEXTS)]

    def run_with(distiller: FirstHalf, store: Store) -> list[str]:
        transform = CtxShrinkDistill(distiller=distiller, store=store)
        made = IngestionPipeline(transformations=[transform], cache=cache).run(nodes=nodes)
        return [node.get_content() for node in made]

    first = run_with(one, Store.memory())
    assert run_with(one, Store(f"sqlite:///{tmp_path}/other.db")) == first
    assert len(one.asked) == 1
    assert run_with(other, Store.memory()) == [text.upper() for text in first]
    assert len(other.asked) == 1


async def test_async_runs_off_the_event_loop() -> None:
    class Watched(FirstHalf):
        def distill(self, sources: Any, /) -> Any:
            assert threading.current_thread() is not threading.main_thread()
            return super().distill(sources)

    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.ensure_future(tick())
    made = await pipeline(Watched(), Store.memory()).arun(documents=documents())
    ticking.cancel()
    assert len(made) == 3
    assert ticks > 1


def test_it_pickles_with_a_store_in_a_file(tmp_path: Path) -> None:
    transform = CtxShrinkDistill(distiller=FirstHalf(), store=Store(f"sqlite:///{tmp_path}/corpus.db"))
    copy = pickle.loads(pickle.dumps(transform))
    nodes = [TextNode(text=TEXTS[0], id_="0")]
    assert copy(nodes) == transform(nodes)
    with pytest.raises(TypeError, match="its store cannot"):
        pickle.dumps(CtxShrinkDistill(distiller=FirstHalf(), store=Store.memory()))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="distiller"):
        CtxShrinkDistill(distiller="facts")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="store"):
        CtxShrinkDistill(distiller=FirstHalf(), store="sqlite://")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="batch"):
        CtxShrinkDistill(distiller=FirstHalf(), batch=0)


async def test_a_query_engine_serves_stored_versions(tmp_path: Path) -> None:
    store, online = Store(f"sqlite:///{tmp_path}/corpus.db"), FirstHalf()
    run(from_llama_index(documents()), FirstHalf(), store)
    index = VectorStoreIndex.from_documents(documents(), embed_model=MockEmbedding(embed_dim=8))
    shrinker = Shrinker(compressors=[DistillCompressor(online, store), "extractive"], guardrail=None)
    engine = index.as_query_engine(
        llm=MockLLM(),
        similarity_top_k=3,
        node_postprocessors=[CtxShrinkPostprocessor(shrinker=shrinker, keep=0.7, drop_empty=False)],
    )
    answer, later = engine.query(QUESTION), await engine.aquery(QUESTION)
    assert online.asked == []
    stored = {made.distillate.text for made in store.derived()}
    served = [n for n in answer.source_nodes if n.get_content(MetadataMode.NONE) in stored]
    assert served
    assert all(text in str(answer) for text in (n.get_content(MetadataMode.NONE) for n in served))
    assert [n.get_content() for n in later.source_nodes] == [n.get_content() for n in answer.source_nodes]
    assert all(n.metadata["ctxshrink"]["reason"].startswith("distill at keep") for n in served)
