"""Record an agent's conversation of 30 turns and make a page of it: what was sent, what was left out, and why.

The trace holds all texts in clear, so recording is opt-in. The same page from the command line, with the heat of each
token: ``ctxshrink report trace.jsonl``. Of one call: ``result.to_html()``, and notebooks show a result by themselves.

python examples/report.py
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from ctxshrink import Conversation, KeepFacts, Shrinker
from ctxshrink.economics import Economics
from ctxshrink.report import Trace, read_trace
from ctxshrink.report.model import report_data
from ctxshrink.report.page import page

TURNS = 30
SYSTEM = {"role": "system", "content": "You watch the cold stores of a fish market. Never open a door without a yes."}


def readings(store: int) -> str:
    """What the tool returns: one line a minute, one of them out of the ordinary."""
    lines = [f"2026-11-22 04:{m:02} INFO cold-{store} {-18 - (m * store) % 3} degrees, door shut" for m in range(60)]
    lines[store * 7 % 60] = f"2026-11-22 04:{store * 7 % 60:02} ERROR cold-{store} compressor C-{400 + store} stopped"
    return "\n".join(lines)


def turn(number: int) -> list[dict[str, Any]]:
    """What is new in a request: the last answer, a question, and a tool call with its result."""
    function = {"name": "readings", "arguments": json.dumps({"store": number})}
    call = {"id": f"call-{number}", "type": "function", "function": function}
    answer = {
        "role": "assistant",
        "content": f"Compressor C-{399 + number} of cold-{number - 1} stopped. Shall I call?",
    }
    return [
        SYSTEM if number == 1 else answer,
        {"role": "user", "content": f"Not yet. Did a compressor stop in cold-{number}?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"call-{number}", "content": readings(number)},
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        trace, target = Path(folder) / "trace.jsonl", Path(folder) / "report.html"
        economics = Economics(model="claude-sonnet-4.6")  # so that the report can reckon money
        shrinker = Shrinker(guardrail=KeepFacts(), economics=economics, telemetry=Trace(trace))
        conversation = Conversation(shrinker)
        results = [conversation.extend(turn(n), keep=0.4) for n in range(1, TURNS + 1)]  # .output is what to send
        data = report_data(read_trace(trace), title="Cold stores, 22 November")
        target.write_text(page(data), encoding="utf-8")
        print(f"{results[-1].tokens_before} -> {results[-1].tokens_after} tokens in the last request")
        print(f"{len(data['calls'])} calls in the report, {target.stat().st_size // 1000} kB")
        print(data["savings"]["notes"][0])


if __name__ == "__main__":
    main()
