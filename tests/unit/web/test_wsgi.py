import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud.errors import BodyTooLarge, InvalidInput
from picloud.web import wsgi


class Stream(io.BytesIO):
    """Counts what is read and, like a socket, gives at most `piece` bytes at once."""

    def __init__(self, content: bytes, piece: int = 1 << 30) -> None:
        super().__init__(content)
        self.piece = piece
        self.taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        got = super().read(min(size if size is not None and size >= 0 else self.piece, self.piece))
        self.taken += len(got)
        return got


def chunked(content: bytes, piece: int = 1000) -> dict[str, Any]:
    return {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": Stream(content, piece)}


@given(st.text())
def test_a_path_survives_the_way_through_wsgi(text: str) -> None:
    try:
        raw = text.encode().decode("latin-1")
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8
        return
    assert wsgi.decoded_path({"PATH_INFO": raw}) == text


@pytest.mark.parametrize("raw", [b"/\xff", b"/\xc3", b"/\xc0\xaf", b"/\xed\xa0\x80"])
def test_a_path_that_is_not_utf8_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="UTF-8"):
        wsgi.decoded_path({"PATH_INFO": raw.decode("latin-1")})


def test_query_pairs_keep_order_repeats_and_empty_values() -> None:
    assert wsgi.query_pairs({"QUERY_STRING": "b=1&a=%C3%A9&b=&c+d=e;f"}) == (
        ("b", "1"),
        ("a", "é"),
        ("b", ""),
        ("c d", "e;f"),
    )
    assert wsgi.query_pairs({}) == ()


def test_a_query_that_is_not_utf8_or_endless_is_refused() -> None:
    with pytest.raises(InvalidInput, match="UTF-8"):
        wsgi.query_pairs({"QUERY_STRING": "a=%ff"})
    with pytest.raises(InvalidInput, match="more than 1000"):
        wsgi.query_pairs({"QUERY_STRING": "a=1&" * 1001})


def test_headers_have_lower_case_names_and_nothing_else_of_the_environ() -> None:
    environ = {"HTTP_X_A": "1", "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "3", "PATH": "/bin", "wsgi.input": None}
    assert wsgi.header_fields(environ) == {"x-a": "1", "content-type": "text/plain", "content-length": "3"}


def test_a_declared_body_is_read_whole_from_a_slow_stream() -> None:
    environ = {"CONTENT_LENGTH": "5", "wsgi.input": Stream(b"hello, and the next request", piece=2)}
    assert wsgi.read_body(environ, 5) == b"hello"


def test_a_declared_body_beyond_the_limit_is_refused_unread() -> None:
    stream = Stream(b"x" * 100)
    with pytest.raises(BodyTooLarge):
        wsgi.read_body({"CONTENT_LENGTH": "11", "wsgi.input": stream}, 10)
    assert stream.taken == 0


def test_a_body_that_ends_early_is_refused() -> None:
    with pytest.raises(InvalidInput, match="ended before"):
        wsgi.read_body({"CONTENT_LENGTH": "10", "wsgi.input": Stream(b"abc")}, 100)


@pytest.mark.parametrize("length", ["-1", "+1", "1.0", "0x10", "²", "1" * 30, " 1"])
def test_a_content_length_that_is_no_number_is_refused(length: str) -> None:
    with pytest.raises(InvalidInput, match="Content-Length"):
        wsgi.read_body({"CONTENT_LENGTH": length, "wsgi.input": Stream(b"")}, 100)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_a_chunked_body_up_to_the_limit_arrives_whole(content: bytes, piece: int) -> None:
    assert wsgi.read_body(chunked(content, piece), 200) == content


def test_a_chunked_body_beyond_the_limit_is_refused_while_reading() -> None:
    environ = chunked(b"x" * 1_000_000)
    with pytest.raises(BodyTooLarge):
        wsgi.read_body(environ, 5_000)
    assert environ["wsgi.input"].taken == 6_000


def test_no_length_and_no_chunks_is_no_body() -> None:
    assert wsgi.read_body({"wsgi.input": Stream(b"left over")}, 100) == b""


def test_what_only_the_server_knows_is_left_out() -> None:
    headers = [("Content-Length", "5"), ("transfer-encoding", "chunked"), ("X-Request-Id", "me"), ("x-a", "é")]
    assert wsgi.script_headers(headers) == [("x-a", "é")]


def test_a_clients_request_id_is_kept_when_it_is_a_plain_word() -> None:
    assert wsgi.request_id({"HTTP_X_REQUEST_ID": "abc-123.X_y"}) == "abc-123.X_y"


@pytest.mark.parametrize("given", ["", "short", "a" * 65, "abc def ghi", "abcdefgh\r\nx: y", "<script>alert"])
def test_another_request_id_is_replaced_and_then_stays(given: str) -> None:
    environ = {"HTTP_X_REQUEST_ID": given}
    made = wsgi.request_id(environ)
    assert made != given
    assert len(made) == 32
    assert wsgi.request_id(environ) == made


def send(method: str, status: int) -> tuple[str, dict[str, str], bytes]:
    sent: list[Any] = []
    environ: wsgi.Environ = {"REQUEST_METHOD": method}
    body = wsgi.send(environ, lambda *given: sent.extend(given), status, [("x-a", "1")], b"hello")
    return sent[0], dict(sent[1]), b"".join(body)


def test_head_has_the_length_of_get_and_no_body() -> None:
    assert send("GET", 200)[1]["content-length"] == "5"
    status, headers, body = send("HEAD", 200)
    assert (status, headers["content-length"], body) == ("200 OK", "5", b"")


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_never_have_a_body(status: int) -> None:
    _, headers, body = send("GET", status)
    assert "content-length" not in headers
    assert body == b""


def test_an_unknown_status_has_a_status_line() -> None:
    assert send("GET", 299)[0] == "299 Unknown"
