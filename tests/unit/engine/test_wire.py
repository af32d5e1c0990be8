"""What two nodes tell each other arrives as it was."""

from __future__ import annotations

import time
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picloud import errors
from picloud.engine.client import Call
from picloud.engine.wire import Failure, decode_call, decode_ended, encode_call, encode_ended, error_of
from picloud.errors import InvalidInput, PicloudError
from picloud.model.app import AppId
from picloud.model.http import Request, Response
from picloud.model.run import RunReport

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
pairs = st.lists(st.tuples(text, text), max_size=3).map(tuple)
requests = st.builds(
    Request,
    method=text,
    path=text,
    id=text,
    query=pairs,
    headers=st.dictionaries(text, text, max_size=3),
    body=st.binary(max_size=50),
    principal=st.none() | text,
)
calls = st.builds(
    Call,
    app_id=st.uuids().map(AppId),
    app=text,
    revision=st.integers(0, 2**60),
    script=text,
    params=st.dictionaries(text, text, max_size=3),
    request=requests,
)
responses = st.builds(Response, status=st.integers(200, 599), headers=pairs, body=st.binary(max_size=50))
REPORT = RunReport(1.5, 1.0, 4096, 2, 0.25, 1, 1, 100, 0.1, 0)


@given(calls, st.floats(0, 100))
def test_a_call_arrives_with_the_seconds_it_has_left(call: Call, left_s: float) -> None:
    before = time.monotonic()
    arrived = decode_call(encode_call(call, left_s))
    assert arrived.deadline is not None
    assert before + left_s <= arrived.deadline <= time.monotonic() + left_s
    assert replace(arrived, deadline=None) == call


@given(responses)
def test_a_response_arrives(response: Response) -> None:
    def run(observe: object) -> Response:
        assert callable(observe)
        observe(REPORT)
        return response

    ended = decode_ended(encode_ended(run))
    assert (ended.outcome, ended.report) == (response, REPORT)


ENDS = [
    errors.ScriptRuntimeError("boom ü", script="greet", line=3, traceback=("greet:3: in main chunk",)),
    errors.MemoryLimitExceeded(),
    errors.InvalidModule("a\nb", script="m"),
    errors.InvalidInput("The request body is not valid JSON."),
    errors.AppBusy(),
    errors.NotFound("gone"),
    errors.StaleRevision(),
]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: error.code)
def test_an_error_of_the_call_or_its_script_is_raised_again(error: PicloudError) -> None:
    def run(_observe: object) -> Response:
        raise error

    ended = decode_ended(encode_ended(run))
    assert isinstance(ended.outcome, Failure)
    again = error_of(ended.outcome)
    assert type(again) is type(error)
    assert (again.message, vars(again)) == (error.message, vars(error))


def test_what_is_the_node_s_own_fault_is_not_told_as_an_answer() -> None:
    for error in (errors.DatabaseUnavailable(), ValueError("a bug")):

        def run(_observe: object, error: Exception = error) -> Response:
            raise error

        with pytest.raises(type(error)):
            encode_ended(run)


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="same version"):
        decode_call(data)
    with pytest.raises(ValueError):
        decode_ended(data)


def test_a_call_without_a_field_is_refused() -> None:
    call = Call(AppId(UUID(int=1)), "blog", 1, "hello", {}, Request("GET", "/", "id"))
    data = encode_call(call, 1.0)
    for field in (b'"revision":1,', b'"app":"blog",', b'"protocol":1,', b',"timeout_s":1.0'):
        assert field in data
        with pytest.raises(InvalidInput):
            decode_call(data.replace(field, b""))
    for other in (data.replace(b'"protocol":1', b'"protocol":2'), data.replace(b":1.0}", b":NaN}")):
        assert other != data
        with pytest.raises(InvalidInput):
            decode_call(other)
