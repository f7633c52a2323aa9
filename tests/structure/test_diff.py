from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.structure.diff import GENERATED, layout

DIFF = """\
diff --git a/src/app.py b/src/app.py
index 83db48f..bf269f4 100644
--- a/src/app.py
+++ b/src/app.py
@@ -10,7 +10,8 @@ def run(port):
     first = 1
     second = 2

-    return serve(port)
+    log(port)
+    return serve(port, retries=3)
     # end
     # really
@@ -40,3 +41,3 @@ class App:
     a = 1
--- comment in SQL
+++ i
     b = 2
diff --git a/package-lock.json b/package-lock.json
--- a/package-lock.json
+++ b/package-lock.json
@@ -1,2 +1,2 @@
-  "version": "1.0.0",
+  "version": "1.0.1",
   "lock": true
diff --git a/logo.png b/logo.png
new file mode 100644
Binary files /dev/null and b/logo.png differ
"""


def find(made, start: str) -> int:  # type: ignore[no-untyped-def]
    return next(i for i, (s, _) in enumerate(made.spans) if made.text.startswith(start, s))


def test_lines_hang_on_hunks_and_hunks_on_files() -> None:
    made = layout(DIFF)
    assert made is not None
    assert made.text == DIFF
    first, hunk = find(made, "diff --git a/src"), find(made, "@@ -10")
    changed = find(made, "-    return serve")
    assert made.parents[changed] == hunk
    assert made.parents[hunk] == first
    assert made.parents[first] == -1
    assert made.labels[changed] == "src/app.py def run(port):"


def test_changes_weigh_more_than_context_and_generated_files_least() -> None:
    made = layout(DIFF)
    assert made is not None
    weight = {made.text[s:e]: w for (s, e), w in zip(made.spans, made.weights, strict=True)}
    assert weight["-    return serve(port)"] > weight["@@ -10,7 +10,8 @@ def run(port):"] - 0.1 > weight["     # end"]
    assert weight['+  "version": "1.0.1",'] == GENERATED
    assert weight["diff --git a/package-lock.json b/package-lock.json"] > 1
    assert weight["Binary files /dev/null and b/logo.png differ"] > 1


def test_changed_lines_that_look_like_headers_stay_in_their_hunk() -> None:
    made = layout(DIFF)
    assert made is not None
    hunk = find(made, "@@ -40")
    assert made.parents[find(made, "--- comment in SQL")] == hunk
    assert made.parents[find(made, "+++ i")] == hunk


def test_omissions_inside_a_hunk_show_with_what_they_are() -> None:
    made = layout(DIFF)
    assert made is not None
    assert made.renderer is not None
    keep = [find(made, p) for p in ("diff --git a/src", "@@ -10", "+    return serve")]
    assert made.renderer(keep, False) == (
        "diff --git a/src/app.py b/src/app.py\n"
        "[… 3 lines omitted]\n"
        "@@ -10,7 +10,8 @@ def run(port):\n"
        "[… 5 lines omitted (1 added, 1 removed)]\n"
        "+    return serve(port, retries=3)\n"
        "[… 17 lines omitted (2 added, 2 removed)]"
    )
    gap = made.renderer([i for i in range(len(made.spans)) if not 5 <= i <= 6], True)
    assert "\n…\n-    return serve(port)" in gap


def test_files_without_git_headers() -> None:
    text = "--- a/x.c\t2020-01-01\n+++ b/x.c\t2020-01-02\n@@ -1 +1 @@\n-a\n+b\n--- y.c\n+++ y.c\n@@ -1 +1 @@\n-c\n+d\n"
    made = layout(text)
    assert made is not None
    assert made.parents == (-1, 0, 0, 2, 2, -1, 5, 5, 7, 7)
    assert made.labels[3] == "x.c"
    assert made.labels[8] == "y.c"


def test_text_without_a_hunk_is_left_alone() -> None:
    assert layout("diff --git a/x b/x\nold mode 1\n") is None
    assert layout("") is None


PIECES = st.sampled_from(
    [*DIFF.splitlines(), "", "\t", " ", "+", "-", "x" * 2500, "+" + "word " * 500, "@@ -1 +1 @@", "\\ No newline"]
)


@given(st.lists(PIECES, max_size=40), st.data(), st.sampled_from(["\n", "\r\n"]))
def test_any_choice_of_lines(lines: list[str], data: st.DataObject, end: str) -> None:
    text = end.join(["@@ -1,3 +1,3 @@ f", *lines])
    made = layout(text)
    assert made is not None
    check(made, text, data)


def check(made, text: str, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    n = len(made.spans)
    assert made.text == text
    assert {len(made.parents), len(made.weights), len(made.labels), len(made.groups)} == {n}
    assert all(a[1] <= b[0] for a, b in zip(made.spans, made.spans[1:], strict=False))
    assert list(made.groups) == sorted(made.groups)
    for i, p in enumerate(made.parents):
        seen = {i}
        while p >= 0:
            assert p not in seen
            seen.add(p)
            p = made.parents[p]
    kept = sorted(data.draw(st.sets(st.integers(0, n - 1)) if n else st.just(set())))
    assert made.renderer(range(n), False) == text
    for short in (False, True):
        out = made.renderer(kept, short)
        place = 0
        for i in kept:
            piece = text[made.spans[i][0] : made.spans[i][1]]
            place = out.index(piece, place) + len(piece)
        if len(kept) < n:
            assert "…" in out
