"""`url.parse` splits addresses as the WHATWG's own tests say, and `url.build` makes the same of the parts."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from tests.conformance.suite import Suite, assert_as_expected, read_data, run_in_lua

LUA: Final = """
local answers = json.array{}
for i, case in ipairs(request.json) do
  local base = case[2] ~= json.null and case[2] or nil
  local parts = url.parse(case[1], base)
  local joined = base and url.join(base, case[1])
  answers[i] = { parts = parts or json.null, built = parts and url.build(parts), joined = joined }
end
return answers
"""
CASES: Final[dict[str, dict[str, Any]]] = {
    f"{number} {case['input']}": case for number, case in enumerate(read_data("url_test_data.json"), 1)
}

CARET: Final = "'^' in a path is percent-encoded [since March 2025](https://github.com/whatwg/url/pull/846)"
PUNYCODE: Final = (
    "hosts in ASCII are never refused for what follows 'xn--' "
    "[since June 2026](https://github.com/web-platform-tests/wpt/pull/60476)"
)

SUITE: Final = Suite(
    "Addresses: WHATWG URL",
    "[web-platform-tests](https://github.com/web-platform-tests/wpt), `url/resources/urltestdata.json` as of 2022, "
    "BSD-3-Clause; all cases. Each address is also built again from its parts.",
    tuple(CASES),
    {
        name: CARET if "^" in case["input"] else PUNYCODE
        for name, case in CASES.items()
        if ("^_" in case["input"] and "pathname" in case and "^" in case["pathname"])
        or ("xn--" in case["input"].lower() and case.get("failure") and not case["input"].isupper())
    },
)


@cache
def run() -> dict[str, str]:
    answers = run_in_lua(LUA, [(case["input"], case["base"]) for case in CASES.values()])
    wrong = (difference(case, answer) for case, answer in zip(CASES.values(), answers, strict=True))
    return {name: what for name, what in zip(CASES, wrong, strict=True) if what}


def difference(case: dict[str, Any], answer: dict[str, Any]) -> str:
    """Return what is not as expected; empty when all is."""
    parts = answer["parts"]
    if case.get("failure") or parts is None:
        return "" if parts is None and case.get("failure") else str(parts)
    found = {
        **{name: parts.get(name, "") for name in ("href", "username", "password", "host", "hostname")},
        "protocol": parts["scheme"] + ":",
        "port": str(parts.get("port", "")),
        "pathname": parts["path"],
        "search": "?" + parts["query"] if parts.get("query") else "",
        "hash": "#" + parts["fragment"] if parts.get("fragment") else "",
        "origin": parts.get("origin", "null"),
        "built": answer["built"],
    }
    expected = {name: case[name] for name in found if name in case} | {"built": parts["href"]}
    if case["base"] is not None:
        expected["joined"], found["joined"] = parts["href"], answer["joined"]
    return str({name: (found[name], value) for name, value in expected.items() if found[name] != value} or "")


def test_it_conforms() -> None:
    assert_as_expected(SUITE, run())
