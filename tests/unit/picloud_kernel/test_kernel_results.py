"""How test results look: the same at every run, and nothing of them becomes markup."""

from __future__ import annotations

from picloud.engine.explain import explain
from picloud.engine.testing import TestResult
from picloud.errors import ExpectationFailed, ScriptRuntimeError
from picloud_kernel.results import failed_bundle, passed_bundle, results_bundle

HOSTILE = "<script>alert(1)</script>"


def failed(details: str, name: str = "t") -> TestResult:
    return TestResult(name, False, 2, ExpectationFailed("no", details=details, script=name, line=3), 1.5)


TABLES = failed(
    '{"matcher":"equals","held":2,"expected":["t",[],[[["s","a",1],["v","number","1"]]],0,""],'
    '"actual":["t",[],[[["s","a",1],["v","number","2"]]],0,""]}'
)
TEXTS = failed('{"matcher":"equals","held":0,"expected":["s","a\\nb",3],"actual":["s","a\\nc",3]}')


def test_a_test_that_passed_is_a_line() -> None:
    assert passed_bundle(TestResult("t", True, 1, None, 3.2)).data["text/plain"] == "test t: passed, 1 assertion"
    assert passed_bundle(TestResult("t", True, 0, None, 3.2)).data["text/plain"] == "test t: passed, 0 assertions"


def test_tables_that_differ_are_shown_with_the_paths() -> None:
    bundle = failed_bundle(TABLES)
    assert bundle is not None
    assert bundle.data["text/plain"].split("\n") == [
        "test t, line 3: expect(...):equals failed after 2 assertions that held",
        "expected:",
        "  {",
        "    a = 1,",
        "  }",
        "got:",
        "  {",
        "    a = 2,",
        "  }",
        "  a: expected 1, got 2",
    ]
    assert "<th" in bundle.data["text/html"]


def test_texts_of_several_lines_are_shown_as_a_diff() -> None:
    bundle = failed_bundle(TEXTS)
    assert bundle is not None
    assert "  - b\n  + c" in bundle.data["text/plain"]
    assert "- b</div>" in bundle.data["text/html"]


def test_an_error_of_another_kind_says_it_all_itself() -> None:
    assert failed_bundle(TestResult("t", False, 0, ScriptRuntimeError("no"), 1.0)) is None


def test_many_results_are_a_table_without_durations() -> None:
    broken = TestResult("b", False, 0, ScriptRuntimeError("no", script="b", line=1), 1.5)
    results = [TestResult("a", True, 3, None, 1.5), broken, TABLES]
    known = [None if r.error is None else explain(r.error, {"b": "error('no')"}.get) for r in results]
    plain = results_bundle(list(zip(results, known, strict=True))).data["text/plain"]
    assert plain.split("\n")[:4] == [
        "test  result  assertions  line",
        "a     passed  3",
        "b     failed              1",
        "t     failed  2           3",
    ]
    assert "test b: no\n\nb, line 1\n--> 1 | error('no')" in plain
    assert "test t: no\n\n  a: expected 1, got 2" in plain
    assert "1.5" not in plain


def test_no_result_becomes_markup() -> None:
    details = f'{{"matcher":"equals","held":0,"expected":["s","{HOSTILE}",1],"actual":["v","x","{HOSTILE}"]}}'
    result = failed(details, HOSTILE)
    assert result.error is not None
    one = failed_bundle(result)
    assert one is not None
    many = results_bundle([(result, explain(result.error, lambda _: HOSTILE))])
    for bundle in (one, many, passed_bundle(TestResult(HOSTILE, True, 1, None, 1.0))):
        assert "<script" not in bundle.data["text/html"]
