"""Strings that break what does not treat text as text."""

NAUGHTY = {
    "empty": "",
    "NUL": "a\0b",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f",
    "C1 controls": "".join(map(chr, range(0x80, 0xA0))),
    "line ends": "a\nb\rc\r\nd\u2028e\u2029f\x85g",
    "surrogate-like": "\\ud800 \ufffd \ufffe \uffff",
    "right to left": "\u202eabc\u202c العربية עברית \u200f\u061c",
    "four bytes": "💩👩‍👩‍👧‍👦\U0001d4b3🏳️‍🌈\U0010ffff",
    "zalgo": "Z̸̡̢̛̗̘̙̜̝̞̟̠̣̤̥̦̩̪̫̬̭̮̯̰̱̲̳̹̺̻̼͇͈͉͍͎͓͔͕͖͙͚͐͑͒͗͛ͅ",
    "combining": "e\u0301 \u00e9 A\u030a \u212b",
    "zero width": "a\u200bb\ufeffc\u2060d",
    "bom": "\ufefftext",
    "sql": "'; DROP TABLE kv_entries; -- \" $1 %s %(app_id)s \\",
    "like": "100%_\\%",
    "format": "%d %s {0} ${x} #{x}",
    "html": "<script>alert(1)</script>&amp;",
    "json": '{"a": [1, null], "b": "\\u0000"}',
    "path": "../../etc/passwd\0.png",
    "long": "ü" * 100_000,
    "number-like": "0x10 1e5 -0 NaN Infinity",
}
