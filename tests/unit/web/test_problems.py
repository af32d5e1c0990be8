import inspect
import json
import logging
from typing import Any

import pytest

from picloud import errors
from picloud.web.problems import STATUS, Audience, problem_of


def content(error: BaseException, audience: Audience = Audience.CALLER) -> tuple[int, dict[str, Any], dict[str, str]]:
    problem = problem_of(error, "id-12345", audience)
    return problem.status, json.loads(problem.body)["error"], dict(problem.headers)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidInput("x"), 400),
        (errors.InvalidRoute("x"), 422),
        (errors.Unauthenticated(), 401),
        (errors.PermissionDenied(), 403),
        (errors.NotFound(), 404),
        (errors.MethodNotAllowed(("GET", "HEAD")), 405),
        (errors.Conflict(), 409),
        (errors.BodyTooLarge(), 413),
        (errors.ScriptRuntimeError("boom"), 500),
        (errors.InvalidResponse("boom"), 500),
        (errors.MemoryLimitExceeded(), 500),
        (errors.TimeLimitExceeded(), 504),
        (errors.DatabaseUnavailable(), 503),
        (errors.MigrationError(), 500),
        (RuntimeError("secret"), 500),
    ],
)
def test_each_error_has_its_status(error: BaseException, status: int) -> None:
    assert content(error)[0] == status


def test_every_class_of_the_tree_finds_a_status() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.PicloudError)]
    assert len(classes) > 20
    for found in classes:
        assert any(base in STATUS for base in found.__mro__)


def test_a_caller_learns_nothing_of_the_script(caplog: pytest.LogCaptureFixture) -> None:
    error = errors.ScriptRuntimeError("password=hunter2", script="pay", line=3, traceback=("pay:3: in function 'f'",))
    with caplog.at_level(logging.WARNING):
        _, told, _ = content(error)
    assert told == {"code": "script_runtime_error", "message": "The script failed.", "request_id": "id-12345"}
    assert "hunter2" in caplog.text
    assert "pay:3" in caplog.text
    assert "id-12345" in caplog.text


def test_an_author_gets_the_script_error_as_an_error_of_what_was_sent() -> None:
    error = errors.ImportCycle("a -> b -> a", script="a", line=1)
    status, told, _ = content(error, Audience.AUTHOR)
    assert status == 422
    assert told["message"] == "a -> b -> a"
    assert told["details"] == [{"script": "a", "line": 1, "traceback": []}]


def test_an_unknown_error_tells_nothing_and_is_logged_whole(caplog: pytest.LogCaptureFixture) -> None:
    _, told, _ = content(ValueError("host=db.internal password=x"), Audience.AUTHOR)
    assert told["code"] == "internal_error"
    assert "db.internal" not in json.dumps(told)
    assert "db.internal" in caplog.text


def test_the_cause_of_a_platform_error_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    error = errors.DatabaseUnavailable()
    error.__cause__ = OSError("connection to 10.0.0.5 refused")
    _, told, headers = content(error)
    assert "10.0.0.5" not in json.dumps(told)
    assert "10.0.0.5" in caplog.text
    assert int(headers["retry-after"]) > 0


def test_the_headers_say_how_to_go_on() -> None:
    assert content(errors.MethodNotAllowed(("GET", "HEAD")))[2]["allow"] == "GET, HEAD"
    assert content(errors.Unauthenticated())[2]["www-authenticate"] == "Bearer"


def test_diagnostics_reach_the_author_one_by_one() -> None:
    error = errors.InvalidScript("greet", (errors.Diagnostic(2, 1, "no"), errors.Diagnostic(3, 1, "no again")))
    _, told, _ = content(error, Audience.AUTHOR)
    assert told["details"] == [
        {"line": 2, "column": 1, "message": "no"},
        {"line": 3, "column": 1, "message": "no again"},
    ]
    assert content(errors.InvalidNotebook("bad", cell=4), Audience.AUTHOR)[1]["details"][0]["cell"] == 4
