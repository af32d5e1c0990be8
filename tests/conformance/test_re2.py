"""`regex.match` finds what RE2's own tests say, groups and all: leftmost-first and longest, whole and in part."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

from tests.conformance.suite import Suite, assert_as_expected, read_data, run_in_lua

LUA: Final = r"""
local function spans_of(pattern, text, longest)
  local m = regex.match(pattern, text, { longest = longest, spans = true })
  if not m then return "-" end
  local out = { (m.start - 1) .. "-" .. m.stop }
  for i, span in ipairs(m.spans) do out[i + 1] = span and (span.start - 1) .. "-" .. span.stop or "-" end
  return table.concat(out, " ")
end
local answers = json.array{}
for i, case in ipairs(request.json) do
  local part, whole = case[1], "\\A(?:" .. case[1] .. ")\\z"
  answers[i] = table.concat({
    spans_of(whole, case[2], false), spans_of(part, case[2], false),
    spans_of(whole, case[2], true), spans_of(part, case[2], true),
  }, ";")
end
return answers
"""


def cases() -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Yield names with pattern, text and the four results expected."""
    for file in ("re2_search.json", "re2_exhaustive_sample.json"):
        for name, texts, patterns in read_data(file):
            for pattern, *results in patterns:
                for text, result in zip(texts, results, strict=True):
                    yield f"{name} {pattern!r} in {text!r}", (pattern, text, result)


CASES: Final = dict(cases())
SUITE: Final = Suite(
    "Regular expressions: RE2",
    "[google/re2](https://github.com/google/re2), its search tests and a sample of its "
    "exhaustive ones, as they are kept with [Go](https://github.com/golang/go), BSD-3-Clause. Each case is four "
    "searches: leftmost-first and longest, of the whole text and within it.",
    tuple(CASES),
    {},
)


@cache
def run() -> dict[str, str]:
    answers = run_in_lua(LUA, [case[:2] for case in CASES.values()])
    return {
        name: f"{answer} instead of {expected}"
        for (name, (_, _, expected)), answer in zip(CASES.items(), answers, strict=True)
        if answer != expected
    }


def test_it_conforms() -> None:
    assert_as_expected(SUITE, run())
