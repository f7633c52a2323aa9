"""Does a tool's output report a failure?

"Aggressive on green, faithful on red": what a failing command said is kept whole where possible. A log that mentions
errors is no failure report: what counts is what a program says about its own end (an exit code, a test summary, a
traceback, a compiler's errors), in the forms that the common tools print.
"""

from __future__ import annotations

import re

from ctxshrink.types import ContentType

__all__ = ["reports_failure"]

LONGEST_LINE = 1_000
"""Characters of a line that are looked at."""

_NOT_ZERO = r"(?:-?[1-9]\d{0,9}|0x0{0,15}[1-9a-fA-F][\da-fA-F]{0,15})\b"
_PLACE = r"[^\s:][^:\n]{0,300}:\d{1,7}(?::\d{1,5})?: "

_STARTS = (
    # Shells and the operating system.
    r"Segmentation fault|Killed$|Aborted$|Bus error|Command (?:failed|exited with|.{1,300} returned non-zero)"
    r"|[\w./+-]{1,80}: (?:line \d{1,6}: )?.{0,300}: (?:command not found|No such file or directory|Permission denied)$"
    r"|[\w./+-]{1,80}: (?:line \d{1,6}: )?command not found",
    # Python, pytest, unittest, tox, pip.
    r"\s{0,20}(?:[|+] {0,4}){0,4}(?:Exception Group )?Traceback \(most recent call last\)"
    r"|[A-Z]\w{0,60}(?:Error|Exception): |=+ .{0,200}\b[1-9]\d{0,6} (?:failed|errors?)\b|FAILED \("
    r"|[1-9]\d{0,6} (?:failed|errors?)\b.{0,100} in \d|(?:FAIL|ERROR): \w[\w.]{0,200} \("
    r"|!{5,} .{0,100}(?:Interrupted|error)|(?:FAILED|ERROR) \S{1,300}(?:::|\.py\b)| {0,4}\S{1,80}: FAIL(?: |$)"
    r"| {2}evaluation failed|ERROR: (?!.{0,40}\b0 )\S"
    r"|error: (?:subprocess-exited|metadata-generation|legacy-install|externally-managed|failed to|pathspec|cannot"
    r"|command |invalid|unknown|unrecognized)",
    # jest, vitest, mocha, TAP, rspec.
    r"(?:Tests|Test Suites|Test Files):?\s{1,9}(?:.{0,60}\b)?[1-9]\d{0,6} failed|\s{0,8}[1-9]\d{0,6} failing\b"
    r"|not ok \d|# fail {1,3}[1-9]| ?FAIL {1,2}\S|[1-9]\d{0,6} examples?, [1-9]\d{0,6} failures?",
    # npm, yarn, pnpm, TypeScript, eslint.
    r"npm (?:ERR!|error)|error Command failed| ?ERR_PNPM|\s{0,4}✖ [1-9]\d{0,6} problems? \([1-9]"
    r"|Found [1-9]\d{0,6} errors?\b",
    # Go, Rust.
    r"\s{0,12}--- FAIL: |FAIL(?:$|\t)|panic: |test result: FAILED|thread '.{1,200}' .{0,30}panicked at"
    r"|error\[E\d{1,6}\]|error: (?:could not compile|aborting|test failed|linking)|test .{1,300} \.\.\. FAILED$",
    # gradle, maven, .NET.
    r"BUILD FAILED|FAILURE: Build failed|\[ERROR\] |> Task .{1,200} FAILED$|Build FAILED\b|Failed!\s{1,4}- Failed:"
    r"|(?:\[\w{1,9}\] )?Tests run: \d{1,9}, {1,2}(?:Failures: [1-9]|Failures: 0, {1,2}Errors: [1-9])",
    # make, compilers, linkers, cmake, ninja.
    r"(?:g?make|\S{1,100}/make)(?:\[\d{1,3}\])?: \*\*\* |CMake Error|ninja: build stopped|FAILED: \S"
    rf"|{_PLACE}(?:fatal )?error\b|(?:collect2|ld|clang|gcc|g\+\+|cc1plus|cc1)\S{{0,20}}: (?:fatal )?error",
    # apt, docker, git, kubectl, terraform, curl.
    r"E: \S|fatal: \S|CONFLICT \(|error: .{0,100}\b(?:failed|denied|rejected|not found)\b|Error response from daemon"
    r"|Error from server|(?:│ )?Error: \S| ! \[(?:remote )?rejected\]|curl: \(\d{1,3}\) ",
    # Java, JavaScript, PHP.
    r"Exception in thread \"|Caused by: \S|(?:Uncaught |Unhandled )\S{0,60}(?:Error|Exception|rejection)"
    r"|\s{0,4}throw er;|PHP (?:Fatal|Parse) error|(?:PHP )?Fatal error: ",
)
_WITHIN = (
    r"\bexit(?:ed)?\b[\w ]{0,30}\b(?:code|status)\b[\"': =]{0,4}" + _NOT_ZERO,
    r"\b(?:exit[_-]?code|exit[_-]?status|returncode|return code|non-zero exit)\b[\"']?\s{0,3}[:=]?\s{0,3}" + _NOT_ZERO,
    r": error (?:TS|CS|MSB|FS|BC)\d{1,6}: |\bBUILD FAILURE\b|: undefined reference to |\(core dumped\)$",
    r"\b[1-9]\d{0,6} failed(?:,| and) \d{1,6} (?:passed|ok|succeeded)|\bcode ELIFECYCLE|: FAIL code [1-9]",
)
_START = re.compile("|".join(_STARTS))
_INSIDE = re.compile("|".join(_WITHIN))
_HINT = re.compile(r"exit|code|error|FAIL|fail|undefined|dumped", re.I)
_COLOUR = re.compile(r"\x1b\[[\d;]{0,20}[A-Za-z]")
_CI = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z |##\[error\]")
"""What build services write before a line."""
_STAMPED = re.compile(r".{0,40}?(?<!\d)(?:\d{4}[-/.]\d\d[-/.]\d\d|\d\d:\d\d:\d\d)")
_UNQUOTED: frozenset[ContentType] = frozenset(("code", "diff", "html", "table"))


def reports_failure(text: str, content_type: ContentType) -> bool:
    """True for output that says that what was run has failed.

    Args:
        text: The output of a tool.
        content_type: What it looks like. Code, diffs, HTML and tables quote failures and do not report them.
    """
    if content_type in _UNQUOTED:
        return False
    return any(_fails(line[:LONGEST_LINE]) for line in text.splitlines() if line)


def _fails(line: str) -> bool:
    if "\x1b" in line:
        line = _COLOUR.sub("", line)
    while (m := _CI.match(line)) is not None:
        line = line[m.end() :]
    if _START.match(line):
        return True
    # A record of a log tells of other programs' ends.
    return _HINT.search(line) is not None and _INSIDE.search(line) is not None and _STAMPED.match(line) is None
