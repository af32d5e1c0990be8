"""From untrusted JSON and query pairs to validated models; pydantic's findings become one plain sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from picloud.errors import InvalidInput

M = TypeVar("M", bound=BaseModel)
FINDINGS_SHOWN = 5


def parse_body(model: type[M], body: bytes) -> M:
    """Return the JSON body as a model; raise `InvalidInput` that names each field at fault."""
    if not body:
        raise InvalidInput("The request needs a JSON body.")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput(_sentence("body", error)) from None


def parse_query(model: type[M], query: Mapping[str, str]) -> M:
    """Return the query as a model; raise `InvalidInput` that names each field at fault."""
    try:
        return model.model_validate_strings(query)
    except ValidationError as error:
        raise InvalidInput(_sentence("query", error)) from None


def _sentence(where: str, error: ValidationError) -> str:
    findings = error.errors(include_url=False, include_context=False, include_input=False)
    sentences = [
        f"{'.'.join((where, *(str(part)[:80] for part in finding['loc'])))}: {_plain(finding['type'], finding['msg'])}"
        for finding in findings[:FINDINGS_SHOWN]
    ]
    if len(findings) > FINDINGS_SHOWN:
        sentences.append(f"and {len(findings) - FINDINGS_SHOWN} more")
    return "; ".join(sentences) + "."


def _plain(kind: str, message: str) -> str:
    if kind == "missing":
        return "this field is needed"
    if kind == "extra_forbidden":
        return "there is no such field, leave it out"
    return message.removeprefix("Value error, ").rstrip(".")[:200]
