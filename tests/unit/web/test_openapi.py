import json
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from picloud.web.api.openapi import openapi_document
from picloud.web.api.operations import OPERATIONS

DOCUMENT = openapi_document(OPERATIONS)


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for child in value.values() for found in references(child)]
    return [found for child in value for found in references(child)] if isinstance(value, list) else []


def test_every_operation_is_in_the_document_with_its_scopes() -> None:
    for operation in OPERATIONS:
        found = DOCUMENT["paths"]["/api/v1" + operation.path][operation.method.lower()]
        assert found["operationId"] == operation.name
        assert found["security"] == [{"bearer": sorted(operation.scopes)}]
        assert str(operation.status) in found["responses"]


def test_operation_ids_are_unique() -> None:
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)


def test_every_operation_needs_a_scope() -> None:
    assert all(operation.scopes for operation in OPERATIONS)


def test_every_reference_resolves_and_every_schema_is_one() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert references(DOCUMENT)
    for reference in references(DOCUMENT):
        assert reference.removeprefix("#/components/schemas/") in schemas
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_the_document_is_openapi_3_1_in_json() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1.")


def test_path_parameters_are_declared() -> None:
    operation = DOCUMENT["paths"]["/api/v1/apps/{app}/scripts/{script}"]["put"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["app", "script"]
    routes = DOCUMENT["paths"]["/api/v1/apps/{app}/routes"]["delete"]
    assert {p["name"] for p in routes["parameters"] if p["in"] == "query"} == {"method", "pattern"}
