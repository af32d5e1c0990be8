"""`base64` and `hex` give what RFC 4648 prints, in both directions."""

from __future__ import annotations

from functools import cache
from typing import Final

from tests.conformance.suite import Suite, assert_as_expected, read_data, run_in_lua

LUA: Final = """
local answers = json.array{}
for i, case in ipairs(request.json) do
  local codec = ({ base64 = base64, hex = hex })[case[1]]
  local data = hex.decode(case[2])
  answers[i] = { codec.encode(data), codec.decode(case[3]) == data and codec.decode(codec.encode(data)) == data }
end
return answers
"""
CASES: Final = {
    f"{kind} {text}": (kind, data.encode("latin-1"), text) for kind, data, text in read_data("rfc4648.json")
}

SUITE: Final = Suite(
    "Base64 and hexadecimal: RFC 4648",
    "The test vectors of [RFC 4648](https://www.rfc-editor.org/rfc/rfc4648), section 10, and the examples of section "
    "9, for the encodings there are here.",
    tuple(CASES),
    {},
)


@cache
def run() -> dict[str, str]:
    answers = run_in_lua(LUA, [(kind, data.hex(), text) for kind, data, text in CASES.values()])
    expected = [[text.lower() if kind == "hex" else text, True] for kind, _, text in CASES.values()]
    return {name: str(a) for name, a, e in zip(CASES, answers, expected, strict=True) if a != e}


def test_it_conforms() -> None:
    assert_as_expected(SUITE, run())
