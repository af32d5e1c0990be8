"""What Lua's calls of the SDK do: scalars become the arguments of a Python function, and its result scalars again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from picloud.errors import CallerError, InvalidInput
from picloud.lua.state import Scalar
from picloud.sdk import NAMESPACES
from picloud.sdk.run import Run
from picloud.sdk.spec import EVERYWHERE, Data, Function, Namespace, Row, Rows, Type

SdkFunction = Callable[[Run, tuple[Any, ...]], tuple[Scalar | None, ...]]


@cache
def calls() -> Mapping[bytes, SdkFunction]:
    """Return what the host calls of the library do, by name: made once per process."""
    found: dict[bytes, SdkFunction] = {}
    for namespace in NAMESPACES:
        for function in namespace.functions.values():
            if function.lua is None:
                found[function.name.encode()] = _bound(function)
        found |= {name.encode(): _primitive(namespace, name) for name in namespace.primitives}
    return found


def _primitive(namespace: Namespace, name: str) -> SdkFunction:
    call = namespace.primitives[name]

    def invoke(run: Run, arguments: tuple[Any, ...]) -> tuple[Scalar | None, ...]:
        return _scalars(call(run, *arguments))

    return invoke


def _bound(function: Function) -> SdkFunction:
    takers = [(parameter.name, _TAKERS.get(parameter.type, _take_scalar)) for parameter in function.parameters]
    option_takers = [(o.keyword, o.name, _TAKERS.get(o.type, _take_scalar)) for o in function.options]
    optional = {parameter.name: parameter.default for parameter in (*function.parameters, *function.options)}
    call, wants_run, everywhere = function.call, function.wants_run, function.phases == EVERYWHERE

    def invoke(run: Run, arguments: tuple[Any, ...]) -> tuple[Scalar | None, ...]:
        if not everywhere and run.phase not in function.phases:
            phases = " and ".join(sorted(f"{phase}s" for phase in function.phases))
            raise InvalidInput(f"{function.name} can be called in {phases} only")
        try:
            rest = iter(arguments)
            values = [take(name, rest, optional[name]) for name, take in takers]
            options = {keyword: take(name, rest, optional[name]) for keyword, name, take in option_takers}
            result = call(run, *values, **options) if wants_run else call(*values, **options)
        except CallerError as error:
            error.args = (f"{function.name}: {error.message}",)
            raise
        return _scalars(result)

    return invoke


Taker = Callable[[str, Iterator[Any], Any], Any]


def _take_scalar(_name: str, rest: Iterator[Any], default: Any) -> Any:
    value = next(rest)
    return default if value is None else value


def _take_text(name: str, rest: Iterator[Any], default: Any) -> Any:
    value = next(rest)
    return default if value is None else _text(name, value)


def _take_float(_name: str, rest: Iterator[Any], default: Any) -> Any:
    value = next(rest)
    return default if value is None else float(value)


def _take_data(_name: str, rest: Iterator[Any], default: Any) -> Any:
    is_json, content = next(rest), next(rest)
    return default if is_json is None else Data(is_json, content)


def _take_strings(_name: str, rest: Iterator[Any], default: Any) -> Any:
    count = next(rest)
    return default if count is None else [next(rest) for _ in range(count)]


def _take_texts(name: str, rest: Iterator[Any], default: Any) -> Any:
    count = next(rest)
    return default if count is None else [_text(name, next(rest)) for _ in range(count)]


def _take_data_list(_name: str, rest: Iterator[Any], default: Any) -> Any:
    count = next(rest)
    return default if count is None else [Data(next(rest), next(rest)) for _ in range(count)]


def _take_data_map(_name: str, rest: Iterator[Any], default: Any) -> Any:
    count = next(rest)
    return default if count is None else {next(rest): Data(next(rest), next(rest)) for _ in range(count)}


_TAKERS: Final[Mapping[Type, Taker]] = {
    Type.TEXT: _take_text,
    Type.VALUE: _take_text,
    Type.NUMBER: _take_float,
    Type.DATA: _take_data,
    Type.TEXTS: _take_texts,
    Type.STRINGS: _take_strings,
    Type.DATA_LIST: _take_data_list,
    Type.DATA_MAP: _take_data_map,
}


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{name} is not UTF-8 text: encode binary data first, for example as hex") from None


def _scalars(result: Any) -> tuple[Scalar | None, ...]:
    """Return a result as it crosses; of several, a list comes last."""
    if result is None:
        return ()
    if not isinstance(result, tuple):
        return tuple(_flat(result))
    first = result[0]
    if isinstance(first, list | dict | Rows):  # with a count in front it can only be the last
        return (*_flat(result[1]), *_flat(first))
    return tuple(scalar for value in result for scalar in _flat(value))


def _flat(value: Any) -> Iterator[Scalar | None]:
    match value:
        case Data():
            yield value.is_json
            yield value.content
        case list():
            yield len(value)
            for item in value:
                yield from _flat(item)
        case dict():
            yield len(value)
            for key, item in value.items():
                yield key
                yield from _flat(item)
        case Rows():
            yield len(value.rows)
            yield len(value.columns)
            yield from value.columns
            for row in value.rows:
                for cell in row:
                    yield from _flat(cell)
        case Row():
            yield from _flat(Rows(value.columns, (value.cells,)))
        case _:
            yield value
