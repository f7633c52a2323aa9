# pyright: standard, reportMissingImports=false, reportAttributeAccessIssue=false
# The packages are those of another environment.
"""llmlingua: LLMLingua-1, LongLLMLingua and LLMLingua-2 over a model folder, on the processor."""

from __future__ import annotations

from typing import Any


def load(method: str, options: dict[str, Any], host: Any) -> Any:
    """See ``host.py``."""
    import llmlingua
    import transformers

    folder = options["model"]
    made = llmlingua.PromptCompressor.__new__(llmlingua.PromptCompressor)
    # What its constructor does, without the tiktoken table that it fetches from the network and only counts with.
    made.model_name, made.use_llmlingua2 = folder, method == "llmlingua-2"
    made.retrieval_model = made.retrieval_model_name = None
    made.open_api_config, made.cache_bos_num, made.prefix_bos_num = {}, 10, 100
    made.load_model(folder, "cpu", {"trust_remote_code": False, "local_files_only": True})
    made.model.eval()
    made.oai_tokenizer = _Counter(made.tokenizer)
    if method == "llmlingua-2":
        # It knows its two tokenizers by their names, and a folder may have any name.
        bert = "bert" in type(made.tokenizer).__name__.lower() or made.model.config.model_type == "bert"
        made.model_name = "bert-base-multilingual-cased" if bert else "xlm-roberta-large"
        made.init_llmlingua2()
    elif int(transformers.__version__.split(".")[0]) >= 5:
        made.model = OldCaches(made.model)
    settings = {
        "llmlingua": {"concate_question": False},
        "longllmlingua": {
            "concate_question": False,
            "rank_method": "longllmlingua",
            "condition_in_question": "after_condition",
            "condition_compare": True,
            "reorder_context": "sort",
            "dynamic_context_compression_ratio": 0.3,
            "context_budget": "+100",
        },
        "llmlingua-2": {"force_tokens": ["\n", "?"]},
    }[method]

    def work(request: dict[str, Any]) -> dict[str, Any]:
        texts, rate = request["texts"], request["level"]
        asked = {} if method == "llmlingua-2" else {"question": request["query"]}
        with host.clock:
            out = made.compress_prompt(texts, rate=rate, **asked, **settings)
        return {"texts": [out["compressed_prompt"]], "setting": f"rate={rate:.4g}"}

    return work


class _Counter:
    """Stands in for a tiktoken encoding."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str, **_: Any) -> Any:
        """What the package counts with."""
        return self._tokenizer(text)["input_ids"]


class OldCaches:
    """A model that takes and gives keys and values as pairs by layer: what the package was written for.

    On transformers 5 its second use of them raises (``too many values to unpack``).
    """

    def __init__(self, model: Any) -> None:
        self._model, self.config = model, model.config

    def __call__(self, ids: Any, attention_mask: Any = None, past_key_values: Any = None, use_cache: Any = None) -> Any:
        """One forward pass."""
        from transformers import DynamicCache

        cache: Any = DynamicCache()
        pairs: Any = past_key_values or ()
        for layer, (keys, values) in enumerate(pairs):
            cache.update(keys, values, layer)
        made = self._model(ids, attention_mask=attention_mask, past_key_values=cache, use_cache=use_cache)
        made.past_key_values = [(layer.keys, layer.values) for layer in made.past_key_values.layers]
        return made
