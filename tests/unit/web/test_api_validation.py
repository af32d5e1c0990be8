import json

import pytest
from pydantic import BaseModel

from picloud.errors import InvalidInput, InvalidNotebook, InvalidRoute
from picloud.web.api.models import AppBody, ManifestBody, PlanBody, ReleaseBody, RouteBody, RouteQuery, ScriptBody
from picloud.web.api.validation import parse_body, parse_query


def refused(model: type[BaseModel], body: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_body(model, body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value.message


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"nul", b'{"name": "a"', b'{"name":"\\ud800"}', b"[" * 100_000])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert refused(AppBody, body)


def test_a_finding_names_its_field() -> None:
    assert refused(AppBody, {}) == "body.name: this field is needed."
    assert refused(AppBody, {"name": 3}).startswith("body.name: Input should be a valid string")
    assert refused(AppBody, {"name": "a", "nmae": 1}) == "body.nmae: there is no such field, leave it out."
    assert refused(AppBody, []).startswith("body: ")


def test_wrong_types_are_never_guessed_at() -> None:
    assert "create" in refused(ReleaseBody, {"manifest": {}, "create": "yes"})
    assert "kind" in refused(ScriptBody, {"kind": "function", "source": ""})


def test_many_findings_are_counted() -> None:
    message = refused(ManifestBody, {"scripts": [{}] * 10})
    assert message.endswith("and 25 more.")


def test_a_source_holds_no_nul_and_has_a_limit() -> None:
    assert "U+0000" in refused(ScriptBody, {"kind": "module", "source": "a\0b"})
    assert "source" in refused(ScriptBody, {"kind": "module", "source": "x" * (1024 * 1024 + 1)})


def test_a_release_needs_a_manifest_or_a_notebook_but_not_both() -> None:
    both: dict[str, object] = {"manifest": {}, "notebook": {}}
    assert "give one of" in refused(ReleaseBody, both)
    assert "give one of" in refused(PlanBody, {})


def test_a_manifest_comes_out_sorted() -> None:
    body = parse_body(
        ManifestBody,
        json.dumps(
            {
                "scripts": [
                    {"name": "b", "kind": "endpoint", "source": "return 1"},
                    {"name": "a", "kind": "module", "source": "return {}"},
                ],
                "routes": [{"method": "GET", "pattern": "/", "script": "b"}],
            }
        ).encode(),
    )
    manifest = body.manifest()
    assert [script.name for script in manifest.scripts] == ["a", "b"]
    assert ManifestBody.of(manifest).manifest() == manifest


def test_an_invalid_route_is_refused_by_the_model_s_own_rule() -> None:
    body = parse_body(RouteBody, b'{"method":"GET","pattern":"no-slash","script":"x"}')
    with pytest.raises(InvalidRoute):
        body.route()


def test_a_notebook_is_read_like_a_published_one() -> None:
    with pytest.raises(InvalidNotebook):
        parse_body(PlanBody, b'{"notebook": {}}').to_publish()


def test_a_query_is_validated_too() -> None:
    assert parse_query(RouteQuery, {"method": "GET", "pattern": "/"}) == RouteQuery(method="GET", pattern="/")
    with pytest.raises(InvalidInput, match=r"query\.pattern: this field is needed"):
        parse_query(RouteQuery, {"method": "GET"})
