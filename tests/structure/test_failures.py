"""Output that reports failure, told from output that mentions it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxshrink.structure.failures import reports_failure
from ctxshrink.text import content_type

RED = {
    "pytest": """\
============================= test session starts ==============================
collected 12 items

tests/test_cart.py ..........F.                                          [100%]

=================================== FAILURES ===================================
________________________________ test_discount _________________________________
>       assert price(cart) == 90
E       assert 100 == 90
=========================== short test summary info ============================
FAILED tests/test_cart.py::test_discount - assert 100 == 90
========================= 1 failed, 11 passed in 0.42s =========================
""",
    "unittest": """\
test_add (test_math.Sums) ... ok
test_sub (test_math.Sums) ... FAIL

----------------------------------------------------------------------
Ran 2 tests in 0.001s

FAILED (failures=1)
""",
    "traceback": """\
loading data
Traceback (most recent call last):
  File "run.py", line 3, in <module>
    main()
ValueError: bad row 7
""",
    "jest": """\
FAIL src/cart.test.js
  ● discount › is applied
    Expected: 90
Test Suites: 1 failed, 4 passed, 5 total
Tests:       1 failed, 31 passed, 32 total
""",
    "npm": "> build\n> tsc -p .\n\nnpm ERR! code 2\nnpm ERR! path /app\n",
    "tsc": "src/cart.ts(14,7): error TS2322: Type 'string' is not assignable to type 'number'.\n",
    "go test": "ok  \texample.com/a\t0.01s\n--- FAIL: TestPrice (0.00s)\n    price_test.go:9: got 100\nFAIL\n",
    "go panic": "panic: runtime error: index out of range [3]\n\ngoroutine 1 [running]:\nmain.main()\n",
    "cargo": """\
   Compiling cart v0.1.0
error[E0308]: mismatched types
 --> src/main.rs:4:18
error: could not compile `cart` due to previous error
""",
    "cargo test": "test sums::adds ... ok\ntest sums::takes ... FAILED\n\ntest result: FAILED. 1 passed; 1 failed\n",
    "gradle": "> Task :compileJava FAILED\n\nFAILURE: Build failed with an exception.\n\nBUILD FAILED in 3s\n",
    "maven": "[INFO] Running CartTest\n[ERROR] Tests run: 3, Failures: 1, Errors: 0\n[INFO] BUILD FAILURE\n",
    "gcc and make": "gcc -c a.c\na.c:14:9: error: expected ';' before 'return'\nmake: *** [Makefile:3: a.o] Error 1\n",
    "linker": "/usr/bin/ld: main.o: in function `main':\nmain.c:(.text+0x5): undefined reference to `price'\n",
    "pip": "Collecting nosuch\nERROR: No matching distribution found for nosuch\n",
    "exit code": "deploying\nupload done\nProcess exited with code 137\n",
    "exit status": "step 3 finished\nexit status: 2\n",
    "shell": "bash: line 1: cargoo: command not found\n",
    "build service": "2024-05-01T08:00:00.1234567Z ##[error]Process completed with exit code 1.\n",
    "git": "Auto-merging a.txt\nCONFLICT (content): Merge conflict in a.txt\n",
    "java": 'Exception in thread "main" java.lang.IllegalStateException: closed\n\tat a.B.main(B.java:3)\n',
    "mocha": "  12 passing (30ms)\n  2 failing\n",
    "coloured": "\x1b[31mFAILED\x1b[0m tests/test_a.py::test_b\n",
}
GREEN = {
    "pytest": """\
============================= test session starts ==============================
tests/test_error_handler.py ........                                     [100%]
============================== 8 passed in 0.12s ===============================
""",
    "pytest with warnings": "======================== 8 passed, 2 warnings in 0.12s =========================\n",
    "unittest": "test_fails_on_error (test_a.Errors) ... ok\n\nRan 1 test in 0.000s\n\nOK\n",
    "jest": "PASS src/error.test.js\nTest Suites: 5 passed, 5 total\nTests:       32 passed, 32 total\n",
    "go test": "ok  \texample.com/errors\t0.011s\n--- PASS: TestFailure (0.00s)\nPASS\n",
    "cargo test": "test errors::fails ... ok\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n",
    "gradle": "> Task :test\n\nBUILD SUCCESSFUL in 3s\n",
    "maven": "[INFO] Tests run: 3, Failures: 0, Errors: 0, Skipped: 0\n[INFO] BUILD SUCCESS\n",
    "gcc": "gcc -Werror -c error.c\ncart.c:3:5: warning: unused variable 'error'\n",
    "pip": "Collecting exceptiongroup\nSuccessfully installed exceptiongroup-1.2.0\n",
    "linter": "error_handler.py ok\n0 errors, 0 warnings\nFound 0 errors\n",
    "tsc": "[8:00:01 AM] Found 0 errors. Watching for file changes.\n",
    "exit code": "upload done\nProcess finished with exit code 0\nexit status: 0\n",
    "log with errors": """\
2024-05-01 08:00:01 ERROR payment: card declined for order 17
2024-05-01 08:00:02 INFO payment: worker 3 exited with status 1, restarted
2024-05-01 08:00:03 WARN payment: 3 failed, 2 passed checks
""",
    "grep": "src/errors.py\nsrc/fail.py\ndocs/exit-codes.md\n",
    "empty": "",
}


@pytest.mark.parametrize("name", RED)
def test_failures_are_reported(name: str) -> None:
    assert reports_failure(RED[name], "log")


@pytest.mark.parametrize("name", RED)
def test_failures_are_reported_at_the_end_of_long_green_output(name: str) -> None:
    assert reports_failure("test_one ... ok\n" * 500 + RED[name], "log")


@pytest.mark.parametrize("name", GREEN)
def test_what_mentions_errors_reports_none(name: str) -> None:
    assert not reports_failure(GREEN[name], "log")


@pytest.mark.parametrize("kind", ["code", "diff", "html", "table"])
def test_content_that_quotes_failures_reports_none(kind: str) -> None:
    assert not reports_failure(RED["traceback"], kind)  # type: ignore[arg-type]


def test_detected_types_lead_to_the_same_answer() -> None:
    for name, text in RED.items():
        assert reports_failure(text, content_type(text)) or content_type(text) in ("code", "table"), name


@given(st.text(alphabet=st.sampled_from("aE1 :.=-\n\r\x00\x1b[\ud800FAILD"), max_size=300))
def test_any_text_has_an_answer(text: str) -> None:
    assert reports_failure(text, "log") in (True, False)
