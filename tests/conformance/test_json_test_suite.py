"""`json.decode` reads what JSONTestSuite says every parser must, and nothing of what it says none may."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

from tests.conformance.suite import Suite, assert_as_expected, read_data, run_in_lua

LUA: Final = """
local answers = json.array{}
for i, hexadecimal in ipairs(request.json) do
  local ok, value = pcall(json.decode, hex.decode(hexadecimal))
  answers[i] = ok and { text = json.encode(value) } or { code = value.code }
end
return answers
"""


def content(case: dict[str, Any]) -> bytes:
    if "hex" in case:
        return bytes.fromhex(case["hex"])
    return "".join(text * times for text, times in case.get("repeat", [[case.get("text", ""), 1]])).encode()


CASES: Final = {name: content(case) for name, case in read_data("json_test_suite.json")}
ACCEPTED: Final = {
    "i_number_double_huge_neg_exp",
    "i_number_real_underflow",
    "i_number_too_big_neg_int",
    "i_number_too_big_pos_int",
    "i_number_very_big_negative_int",
}
"""Of the cases the RFC leaves open; the others are refused."""

SUITE: Final = Suite(
    "JSON: JSONTestSuite (RFC 8259)",
    "[nst/JSONTestSuite](https://github.com/nst/JSONTestSuite) by Nicolas Seriot, MIT; all parsing cases.",
    tuple(CASES),
    {},
    {
        "numbers too close to 0 for a float": "become 0",
        "integers of more than 64 bits": "become floats",
        "numbers beyond the range of floats": "refused",
        "half of a surrogate pair, as an escape": "refused",
        "bytes that are not UTF-8, UTF-16, a byte order mark": "refused",
        "arrays and objects within each other": "100 levels",
    },
)


@cache
def run() -> dict[str, str]:
    answers = run_in_lua(LUA, [text.hex() for text in CASES.values()])
    return {
        name: str(answer)[:200]
        for (name, text), answer in zip(CASES.items(), answers, strict=True)
        if not is_right(name, text, answer)
    }


def is_right(name: str, text: bytes, answer: dict[str, str]) -> bool:
    if name.startswith("y_") or name in ACCEPTED:
        return "text" in answer and json.loads(answer["text"]) == json.loads(text, parse_int=number)
    return answer == {"code": "invalid_json"}


def number(digits: str) -> int | float:
    return int(digits) if -(2**63) <= int(digits) < 2**63 else float(digits)


def test_it_conforms() -> None:
    assert_as_expected(SUITE, run())
    assert {name for name in ACCEPTED if name.startswith("i_")} == ACCEPTED <= set(CASES)
