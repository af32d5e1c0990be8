"""How an import graph looks in a notebook: drawn by Mermaid, which JupyterLab has, and as a tree of text."""

from __future__ import annotations

from collections.abc import Iterator

from picloud.modules.graph import ImportGraph
from picloud_kernel.display import Bundle, text

MERMAID = "text/vnd.mermaid"


def graph_bundle(graph: ImportGraph) -> Bundle:
    """Return the graph in both forms; an empty one as a sentence."""
    if not graph.kinds:
        return text("No scripts yet: begin a cell with '%%module NAME' or '%%endpoint NAME METHOD PATH'.")
    return Bundle({"text/plain": "\n".join(_tree(graph)), MERMAID: "\n".join(_mermaid(graph))})


def _mermaid(graph: ImportGraph) -> Iterator[str]:
    yield "flowchart LR"
    ids = {name: f"s{number}" for number, name in enumerate(graph.kinds)}
    for name, node in ids.items():
        opened, closed = ("[", "]") if graph.has_module(name) else ("([", "])")
        yield f"  {node}{opened}{_label(name)}{closed}"
    required = {name for imports in (*graph.imports.values(), *graph.tests.values()) for name in imports}
    missing = {name: f"m{number}" for number, name in enumerate(sorted(n for n in required if not graph.has_module(n)))}
    for name, node in missing.items():
        yield f"  {node}[{_label(f'{name}: no such module')}]"

    def arrows(node: str, imports: tuple[str, ...]) -> Iterator[str]:
        for name in sorted(imports):
            yield f"  {node} -.-> {missing[name]}" if name in missing else f"  {node} --> {ids[name]}"

    for number, route in enumerate(graph.routes):
        yield f"  r{number}>{_label(f'{route.method} {route.pattern}')}]"
        yield f"  r{number} --> {ids[route.script]}"
    for number, (name, imports) in enumerate(graph.tests.items()):
        yield f"  t{number}{{{{{_label(f'test {name}')}}}}}"
        yield from arrows(f"t{number}", imports)
    for name, imports in graph.imports.items():
        yield from arrows(ids[name], imports)


def _label(content: str) -> str:
    """Return text as a quoted label; what could mean something to Mermaid or HTML goes in as its number."""
    return '"' + "".join(c if c.isalnum() or c in " _-./:" else f"#{ord(c)};" for c in content) + '"'


def _tree(graph: ImportGraph) -> Iterator[str]:
    """Show what routes and tests lead to, then the scripts nothing requires, then circles."""
    seen: set[str] = set()
    for route in graph.routes:
        yield f"{route.method} {route.pattern}"
        yield from _branch(graph, [(route.script, "  ")], seen)
    for name, imports in graph.tests.items():
        yield f"test {name}"
        yield from _branch(graph, [(required, "  ") for required in sorted(imports, reverse=True)], seen)
    required = {name for imports in graph.imports.values() for name in imports}
    for name in (*(name for name in graph.kinds if name not in required), *graph.kinds):
        if name not in seen:
            yield from _branch(graph, [(name, "")], seen)


def _branch(graph: ImportGraph, pending: list[tuple[str, str]], seen: set[str]) -> Iterator[str]:
    """Show names at their indents, each with what it requires; what was shown already is not shown again."""
    ends = {name for name, _ in pending}  # a route's endpoint is one although nobody can require it
    while pending:
        name, indent = pending.pop()
        if not graph.has_module(name) and not (name in ends and name in graph.kinds):
            yield f"{indent}{name}: no such module"
            continue
        more = sorted(graph.imports[name], reverse=True)
        again = " (see above)" if name in seen and more else ""
        yield f"{indent}{graph.kinds[name]} {name}{again}"
        if name not in seen:
            seen.add(name)
            pending.extend((required, f"{indent}  ") for required in more)
