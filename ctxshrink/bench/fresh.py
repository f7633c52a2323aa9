"""What one fresh process needs: peak memory, and the time until the first call has returned.

Run as ``python -m ctxshrink.bench.fresh`` with a task as JSON on stdin; prints its findings as JSON. Nothing but what
is measured is imported before the clock starts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Task: TypeAlias = Mapping[str, Any]
"""``what`` is "files" or "shrink"; the latter needs ``contexts`` ([[question, [passage, …]], …]), ``keep`` and
``guardrail``."""


def model_files() -> list[str]:
    """The ONNX files that the package ships."""
    return sorted(str(p) for p in (Path(__file__).parents[1] / "models").glob("*/*.onnx"))


def measure(task: Task) -> dict[str, float]:
    """Run a task in this process: call it once, in a process that has done nothing else.

    Returns:
        ``seconds`` until onnxruntime is imported and the model files are loaded, or until the first call has returned;
        ``peak_mib`` of resident memory at the end, after all contexts with their questions and, but for the first one,
        without.
    """
    start = time.perf_counter()
    if task["what"] == "files":
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

        ort: Any = onnxruntime
        sessions = [ort.InferenceSession(file, providers=["CPUExecutionProvider"]) for file in model_files()]
        seconds = time.perf_counter() - start
        del sessions
    else:
        from ctxshrink import Shrinker

        shrinker = Shrinker() if task["guardrail"] else Shrinker(guardrail=None)
        (query, passages), *others = task["contexts"]
        shrinker.shrink_documents(passages, query, keep=task["keep"])
        seconds = time.perf_counter() - start
        for query, passages in others:
            shrinker.shrink_documents(passages, query, keep=task["keep"])
        for _, passages in others:
            # With a question the guardrail often decides without its language model; here it needs it.
            shrinker.shrink_text("\n\n".join(passages), keep=task["keep"])
    return {"seconds": seconds, "peak_mib": peak_mib()}


def in_fresh_process(task: Task) -> dict[str, float]:
    """`measure` in a new Python process."""
    command = [sys.executable, "-m", "ctxshrink.bench.fresh"]
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the fresh process failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def cold_starts(contexts: Sequence[tuple[str, list[str]]], keep: float) -> dict[str, list[float]]:
    """Seconds of fresh processes, one pair per context: loading alone, and until the first call has returned.

    Args:
        contexts: Questions and passages.
        keep: Share to keep.

    Returns:
        ``files``: import of onnxruntime and loading of all model files; ``shrink``: import of ctxshrink and the first
        `Shrinker.shrink_documents` with all defaults.
    """
    found: dict[str, list[float]] = {"files": [], "shrink": []}
    for one in contexts:
        # Files first: whatever the operating system has to read from the disk is then read for neither.
        found["files"].append(in_fresh_process({"what": "files"})["seconds"])
        task = {"what": "shrink", "contexts": [one], "keep": keep, "guardrail": True}
        found["shrink"].append(in_fresh_process(task)["seconds"])
    return found


def peak_mib() -> float:
    """Peak resident memory of this process in MiB."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage would also count the parent's memory, which Linux carries over from fork to exec.
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(json.load(sys.stdin))) + "\n")
