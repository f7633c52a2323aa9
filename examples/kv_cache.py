"""The KV cache of a local model: a page is read once, compressed, saved, and asked about again and again.

python examples/kv_cache.py [FOLDER OF A HUGGING FACE MODEL]

Without a folder, the small language model of this package stands in. It has learned to continue text, not to answer:
what it says shows that the cache works, and little else.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from ctxshrink.kv import AgePolicy, CompressedContext, KVCompressor, KVGuardrail
from ctxshrink.training.scorer_llama import scorer_as_llama

PAGE = " ".join(
    f"On day {day} the harbour office opened at {6 + day % 4} o'clock, and {10 + 3 * day} boats came in. "
    f"The tide was low at noon. The keeper on duty was number {day * 7 % 31}, who wrote the log by hand."
    for day in range(1, 16)
)
QUESTIONS = ["How many boats came in on day 9?", "When did the office open on day 4?"]


def load(folder: str | None) -> tuple[Any, Any]:
    if folder is None:
        return scorer_as_llama()
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def show(name: str, context: CompressedContext) -> None:
    report = context.report
    print(f"{name}: {report.tokens} -> {report.kept} tokens, {report.nbytes_full} -> {report.nbytes} bytes")
    print(f"    {report.reason}")


def go_on(model: Any, tokenizer: Any, context: CompressedContext) -> str:
    """Any ``generate`` takes the cache: give it the new tokens alone."""
    ids = tokenizer("\n\nThe keeper", return_tensors="pt", add_special_tokens=False)["input_ids"]
    mask = context.attention_mask(ids.shape[1])
    made = model.generate(
        ids, attention_mask=mask, past_key_values=context.to_cache(), max_new_tokens=16, do_sample=False
    )
    return tokenizer.decode(made[0]).strip()


def main(folder: str | None = None) -> None:
    model, tokenizer = load(folder)
    full = KVCompressor(model, tokenizer, keep=1.0).compress(PAGE)
    quick = KVCompressor(model, tokenizer, select="expected", keep=0.3, quant=("int8", "int4"))
    page = quick.compress(PAGE)
    show("expected attention, keep 0.3, keys in 8 and values in 4 bits", page)

    # The guardrail compares answers from the compressed cache with those from the full one.
    guardrail = KVGuardrail(probes=QUESTIONS, max_kl=0.05, fallback="retry")
    checked = KVCompressor(model, tokenizer, select="snapkv", keep=0.05, guardrail=guardrail).compress(PAGE)
    show("snapkv, as much as the guardrail wants", checked)
    for attempt in checked.report.attempts:
        verdict = attempt.verdict
        told = "not asked" if verdict is None else f"{verdict.kl:.3f} nats from the full cache"
        print(f"    keep {attempt.keep:.2f}: {told}")

    # Questions go behind the page; it is not read again, and not changed.
    for question, answer in zip(QUESTIONS, quick.ask_many(page, QUESTIONS, max_new_tokens=12), strict=True):
        print(f"{question} {answer or '(no answer)'}")

    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "page.ctxkv"
        page.save(file)
        again = CompressedContext.load(file, model)
        print(f"saved: {file.stat().st_size} bytes")
        for name, context in (("full cache", full), ("compressed", page), ("from the file", again)):
            print(f"    {name}: {go_on(model, tokenizer, context)!r}")

    # New turns enter exact and grow old: the newest 128 tokens stay, then half, then a tenth of what is older.
    policy = AgePolicy([(0, 1.0, None), (128, 0.5, "int8"), (256, 0.1, "int4")])
    aging = KVCompressor(model, tokenizer, policy=policy)
    diary = aging.compress(PAGE[:800])
    for start in range(800, 1600, 400):
        diary = aging.extend(diary, PAGE[start : start + 400])
    show("a diary that grows", diary)


if __name__ == "__main__":
    main(next((name for name in sys.argv[1:] if (Path(name) / "config.json").is_file()), None))
