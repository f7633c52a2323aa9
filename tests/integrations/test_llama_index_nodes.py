"""LlamaIndex: the postprocessor in a real query engine, the transform in a real pipeline."""

import asyncio
import json
import pickle
import threading
from typing import Any

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)
from llama_index_ctxshrink import CtxShrinkPostprocessor, CtxShrinkTransform
from pydantic import ValidationError

from ctxshrink.errors import BudgetError
from ctxshrink.shrinker import Shrinker
from tests.integrations.material import ANSWER, PLAIN, QUESTION, TEXTS, tokens


def _nodes() -> list[TextNode]:
    return [
        TextNode(
            id_=f"node-{i}",
            text=text,
            metadata={"file": "manual.pdf", "page": i},
            excluded_llm_metadata_keys=["page"],
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="manual")},
            start_char_idx=10 * i,
            embedding=[0.5, i],
        )
        for i, text in enumerate(TEXTS)
    ]


def _scored() -> list[NodeWithScore]:
    return [NodeWithScore(node=node, score=1 - i / 10) for i, node in enumerate(_nodes())]


def _text(node: BaseNode | NodeWithScore) -> str:
    return node.get_content(MetadataMode.NONE)


def test_keeps_the_answer_the_scores_and_the_nodes() -> None:
    given, untouched = _scored(), _scored()
    postprocessor = CtxShrinkPostprocessor(shrinker=PLAIN, keep=0.3, drop_empty=False)
    out = postprocessor.postprocess_nodes(given, query_str=QUESTION)
    assert [n.to_dict() for n in given] == [n.to_dict() for n in untouched]
    assert [n.score for n in out] == [n.score for n in given]
    assert ANSWER in _text(out[0])
    assert sum(tokens(_text(n)) for n in out) <= 0.3 * sum(map(tokens, TEXTS))
    for before, after in zip(given, out, strict=True):
        note = after.node.metadata["ctxshrink"]
        assert json.loads(json.dumps(note)) == note
        assert note["tokens_before"] == tokens(_text(before))
        assert note["tokens_after"] == tokens(_text(after))
        assert after.node.model_dump(
            exclude={"text", "metadata", "excluded_embed_metadata_keys", "excluded_llm_metadata_keys"}
        ) == before.node.model_dump(
            exclude={"text", "metadata", "excluded_embed_metadata_keys", "excluded_llm_metadata_keys"}
        )
        assert {k: v for k, v in after.metadata.items() if k != "ctxshrink"} == before.metadata
        for mode in (MetadataMode.LLM, MetadataMode.EMBED):
            assert "ctxshrink" not in after.get_content(mode)
        assert "page" not in after.get_content(MetadataMode.LLM)


def test_emptied_nodes_are_left_out_by_default() -> None:
    everything = CtxShrinkPostprocessor(shrinker=PLAIN, keep=0.2, drop_empty=False).postprocess_nodes(
        _scored(), query_str=QUESTION
    )
    left = CtxShrinkPostprocessor(shrinker=PLAIN, keep=0.2).postprocess_nodes(_scored(), query_str=QUESTION)
    assert left == [node for node in everything if _text(node)]
    assert 0 < len(left) < len(everything)


async def test_sync_and_async_agree() -> None:
    postprocessor = CtxShrinkPostprocessor(shrinker=PLAIN, max_tokens=30)
    bundle = QueryBundle(QUESTION)
    assert await postprocessor.apostprocess_nodes(_scored(), bundle) == postprocessor.postprocess_nodes(
        _scored(), bundle
    )
    transform = CtxShrinkTransform(shrinker=PLAIN, keep=0.4)
    assert await transform.acall(_nodes()) == transform(_nodes())


def test_without_a_query_and_without_nodes() -> None:
    postprocessor = CtxShrinkPostprocessor(shrinker=PLAIN, keep=0.4)
    out = postprocessor.postprocess_nodes(_scored())
    assert [_text(n) for n in out] == [_text(n) for n in CtxShrinkTransform(shrinker=PLAIN, keep=0.4)(_nodes())]
    assert 0 < sum(tokens(_text(n)) for n in out) <= 0.4 * sum(map(tokens, TEXTS))
    assert postprocessor.postprocess_nodes([], query_str=QUESTION) == []
    assert CtxShrinkTransform(shrinker=PLAIN)([]) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda text: TextNode(text=text),
        lambda text: Document(text=text),
        lambda text: Document(text_resource=MediaResource(text=text, mimetype="text/markdown")),
        lambda text: IndexNode(text=text, index_id="other"),
        lambda text: ImageNode(text=text, image_url="https://example.org/a.png"),
    ],
)
def test_every_kind_of_node_stays_what_it_is(make: Any) -> None:
    node = make(TEXTS[0])
    (out,) = CtxShrinkTransform(shrinker=PLAIN, keep=0.5)([node])
    assert type(out) is type(node)
    assert 0 < len(_text(out)) < len(TEXTS[0])
    assert _text(node) == TEXTS[0]
    assert (out.node_id, out.ref_doc_id) == (node.node_id, node.ref_doc_id)
    if isinstance(out, Document):
        assert out.text_resource is not None
        assert out.text_resource.mimetype == node.text_resource.mimetype


def test_a_node_without_text_is_left_alone() -> None:
    image = ImageNode(image_url="https://example.org/a.png")
    (out,) = CtxShrinkTransform(shrinker=PLAIN, max_tokens=0)([image])
    assert out.node_id == image.node_id
    assert _text(out) == ""


def test_pinned_nodes_stay_exact() -> None:
    postprocessor = CtxShrinkPostprocessor(shrinker=PLAIN, keep=0.1, pin=lambda node: node.node_id == "node-2")
    out = {n.node_id: n for n in postprocessor.postprocess_nodes(_scored(), query_str=QUESTION)}
    assert _text(out["node-2"]) == TEXTS[2]
    assert out["node-2"].metadata["ctxshrink"]["action"] == "locked"


def test_twice_is_noted_once() -> None:
    transform = CtxShrinkTransform(shrinker=PLAIN, keep=0.5)
    for node in transform(transform(_nodes())):
        assert node.excluded_llm_metadata_keys == ["page", "ctxshrink"]


@pytest.fixture
def index() -> VectorStoreIndex:
    return VectorStoreIndex(nodes=_nodes(), embed_model=MockEmbedding(embed_dim=2))


async def test_in_a_query_engine(index: VectorStoreIndex) -> None:
    postprocessor = CtxShrinkPostprocessor(shrinker=PLAIN, keep=0.3)
    llm = MockLLM()
    engine = index.as_query_engine(llm=llm, similarity_top_k=3, node_postprocessors=[postprocessor])
    plain = index.as_query_engine(llm=llm, similarity_top_k=3)
    answer, full = engine.query(QUESTION), plain.query(QUESTION)
    assert ANSWER in str(answer)  # MockLLM repeats its prompt
    assert QUESTION in str(answer)
    assert "ctxshrink" not in str(answer)
    assert tokens(str(answer)) < tokens(str(full))
    assert all(node.score is not None for node in answer.source_nodes)
    assert str(await engine.aquery(QUESTION)) == str(answer)


async def test_in_an_ingestion_pipeline() -> None:
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=64, chunk_overlap=0),
            CtxShrinkTransform(shrinker=PLAIN, keep=0.5),
            MockEmbedding(embed_dim=2),
        ]
    )
    documents = [Document(text=text, id_=f"d{i}") for i, text in enumerate(TEXTS)]
    nodes = pipeline.run(documents=documents)
    assert {node.ref_doc_id for node in nodes} <= {"d0", "d1", "d2"}
    assert sum(tokens(_text(node)) for node in nodes) <= 0.5 * sum(map(tokens, TEXTS))
    assert all(node.embedding for node in nodes)
    assert [_text(n) for n in await pipeline.arun(documents=documents)] == [_text(n) for n in nodes]


async def test_acall_leaves_the_event_loop_free() -> None:
    threads: list[int] = []

    class Watching(CtxShrinkTransform):
        def __call__(self, nodes: Any, **kwargs: Any) -> Any:
            threads.append(threading.get_ident())
            return super().__call__(nodes, **kwargs)

    await asyncio.gather(*(Watching(shrinker=PLAIN).acall(_nodes()) for _ in range(2)))
    assert len(threads) == 2
    assert threading.get_ident() not in threads


def test_observe_mode_changes_no_text() -> None:
    observing = Shrinker(guardrail=None, mode="observe")
    out = CtxShrinkPostprocessor(shrinker=observing, keep=0.2).postprocess_nodes(_scored(), query_str=QUESTION)
    assert [_text(node) for node in out] == TEXTS


def test_the_default_guardrail_judges_every_change() -> None:
    out = CtxShrinkPostprocessor(keep=0.3, drop_empty=False).postprocess_nodes(_scored(), query_str=QUESTION)
    notes = [node.metadata["ctxshrink"] for node in out]
    assert any(note["score"] is not None for note in notes)
    assert all(note["score"] is not None for note in notes if note["action"] in ("compressed", "emptied"))


def test_components_can_be_shown_and_hashed() -> None:
    for component in (CtxShrinkPostprocessor(shrinker=PLAIN, keep=0.3), CtxShrinkTransform(shrinker=PLAIN, keep=0.3)):
        shown = json.loads(component.to_json())
        assert shown["class_name"] == type(component).__name__
        assert shown["keep"] == 0.3


def test_pickled_with_its_shrinker_or_not_at_all() -> None:
    transform = pickle.loads(pickle.dumps(CtxShrinkTransform(shrinker=Shrinker(guardrail=None), keep=0.4)))
    assert [_text(n) for n in transform(_nodes())] == [
        _text(n) for n in CtxShrinkTransform(shrinker=PLAIN, keep=0.4)(_nodes())
    ]
    local = Shrinker(guardrail=None, counter=lambda text: len(text))
    with pytest.raises(TypeError, match="CtxShrinkTransform cannot be pickled"):
        pickle.dumps(CtxShrinkTransform(shrinker=local))


@pytest.mark.parametrize("seat", [CtxShrinkPostprocessor, CtxShrinkTransform])
@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"keep": 0}, "keep"),
        ({"max_tokens": -4}, "max_tokens"),
        ({"keep": 0.5, "max_tokens": 4}, "not both"),
        ({"kep": 0.5}, "kep"),
    ],
)
def test_wrong_settings_are_refused_when_made(seat: Any, settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        seat(shrinker=PLAIN, **settings)


def test_strict_reaches_the_shrinker() -> None:
    postprocessor = CtxShrinkPostprocessor(shrinker=PLAIN, max_tokens=1, strict=True, pin=lambda node: True)
    with pytest.raises(BudgetError):
        postprocessor.postprocess_nodes(_scored(), query_str=QUESTION)
