"""The OpenAPI 3.1 document of the admin API, made from the table of operations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from picloud.version import __version__
from picloud.web.api.models import ErrorView
from picloud.web.api.operation import Operation

PREFIX = "/api/v1"
_REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"\{(\w+)\}")


def openapi_document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document as JSON values; the same table gives the same document."""
    table = tuple(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "PiCloud admin API", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": _schemas(table),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    document: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": [{"bearer": sorted(operation.scopes)}],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": {
            str(operation.status): _response(operation),
            "default": {"description": "An error", "content": _content(ErrorView)},
        },
    }
    if operation.body:
        document["requestBody"] = {"required": operation.needs_body, "content": _content(operation.body)}
    return document


def _response(operation: Operation) -> dict[str, Any]:
    if operation.response is None:
        return {"description": "Done"}
    return {"description": operation.response.__doc__, "content": _content(operation.response)}


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    names = _PARAMETER.findall(operation.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = operation.query.model_json_schema(ref_template=_REF)
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]


def _content(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}


def _schemas(operations: tuple[Operation, ...]) -> dict[str, Any]:
    models = {m: None for o in operations for m in (o.body, o.response) if m} | {ErrorView: None}
    _, document = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    return dict(document["$defs"])
