"""How an import graph looks in a notebook: drawn by Mermaid, which JupyterLab has, and as a tree of text."""

from __future__ import annotations

from collections.abc import Iterator, Set

from picloud.modules.graph import ImportGraph
from picloud_kernel.display import Bundle, text

MERMAID = "text/vnd.mermaid"


def graph_bundle(graph: ImportGraph, drafts: Set[str] = frozenset()) -> Bundle:
    """Return the graph in both forms; an empty one as a sentence. `drafts` are marked, named as a plan names them."""
    if not graph.kinds:
        return text("No scripts yet: begin a cell with '%%module NAME' or '%%endpoint NAME METHOD PATH'.")
    return Bundle({"text/plain": "\n".join(_tree(graph, drafts)), MERMAID: "\n".join(_mermaid(graph, drafts))})


def _mark(entry: str, drafts: Set[str]) -> str:
    return " (draft)" if entry in drafts else ""


def _mermaid(graph: ImportGraph, drafts: Set[str]) -> Iterator[str]:
    yield "flowchart LR"
    ids = {name: f"s{number}" for number, name in enumerate(graph.kinds)}
    for name, node in ids.items():
        opened, closed = ("[", "]") if graph.has_module(name) else ("([", "])")
        yield f"  {node}{opened}{_label(name + _mark(f'{graph.kinds[name]} {name}', drafts))}{closed}"
    required = {name for imports in (*graph.imports.values(), *graph.tests.values()) for name in imports}
    missing = {name: f"m{number}" for number, name in enumerate(sorted(n for n in required if not graph.has_module(n)))}
    for name, node in missing.items():
        yield f"  {node}[{_label(f'{name}: no such module')}]"

    def arrows(node: str, imports: tuple[str, ...]) -> Iterator[str]:
        for name in sorted(imports):
            yield f"  {node} -.-> {missing[name]}" if name in missing else f"  {node} --> {ids[name]}"

    for number, route in enumerate(graph.routes):
        title = f"{route.method} {route.pattern}"
        yield f"  r{number}>{_label(title + _mark(f'route {title}', drafts))}]"
        yield f"  r{number} --> {ids[route.script]}"
    for number, trigger in enumerate(graph.triggers):
        title = f"trigger {trigger.name}"
        yield f"  e{number}>{_label(f'{trigger.describe()}{_mark(title, drafts)}')}]"
        yield f"  e{number} --> {ids[trigger.script]}"
    for number, (name, imports) in enumerate(graph.tests.items()):
        title = f"test {name}"
        yield f"  t{number}{{{{{_label(title + _mark(title, drafts))}}}}}"
        yield from arrows(f"t{number}", imports)
    for name, imports in graph.imports.items():
        yield from arrows(ids[name], imports)


def _label(content: str) -> str:
    """Return text as a quoted label; what could mean something to Mermaid or HTML goes in as its number."""
    return '"' + "".join(c if c.isalnum() or c in " _-./:" else f"#{ord(c)};" for c in content) + '"'


def _tree(graph: ImportGraph, drafts: Set[str]) -> Iterator[str]:
    """Show what routes, triggers and tests lead to, then the scripts nothing requires, then circles."""
    seen: set[str] = set()
    for route in graph.routes:
        title = f"{route.method} {route.pattern}"
        yield title + _mark(f"route {title}", drafts)
        yield from _branch(graph, drafts, [(route.script, "  ", False)], seen)
    for trigger in graph.triggers:
        title = f"trigger {trigger.name}"
        yield f"{title} ({trigger.describe()}){_mark(title, drafts)}"
        yield from _branch(graph, drafts, [(trigger.script, "  ", False)], seen)
    for name, imports in graph.tests.items():
        title = f"test {name}"
        yield title + _mark(title, drafts)
        yield from _branch(graph, drafts, [(name, "  ", True) for name in sorted(imports, reverse=True)], seen)
    required = {name for imports in graph.imports.values() for name in imports}
    for name in (*(name for name in graph.kinds if name not in required), *graph.kinds):
        if name not in seen:
            yield from _branch(graph, drafts, [(name, "", False)], seen)


def _branch(
    graph: ImportGraph, drafts: Set[str], pending: list[tuple[str, str, bool]], seen: set[str]
) -> Iterator[str]:
    """Show names, each at its indent and with what it requires; what was shown already is not shown again.

    The last of each triple tells whether the name is required, so that only a module will do.
    """
    while pending:
        name, indent, is_required = pending.pop()
        if is_required and not graph.has_module(name):
            yield f"{indent}{name}: no such module"
            continue
        more = sorted(graph.imports[name], reverse=True)
        title = f"{graph.kinds[name]} {name}"
        yield f"{indent}{title}{_mark(title, drafts)}{' (see above)' if name in seen and more else ''}"
        if name not in seen:
            seen.add(name)
            pending.extend((required, f"{indent}  ", True) for required in more)
