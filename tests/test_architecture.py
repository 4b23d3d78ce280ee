"""The architecture as design.md draws it: imports point down, and what only some modules may do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from payment_service.providers.registry import BUILDERS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "payment_service"

# From the top down. A module imports what stands below it, and never its neighbours, but that the
# floor's modules may use each other. The sandbox stands outside, on the floor.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__init__"}),
    frozenset({"api", "admin", "cli", "serving"}),
    frozenset({"services", "seeding"}),
    frozenset({"schemas"}),
    frozenset({"providers", "outbox", "trips", "idempotency", "identity", "rendering"}),
    frozenset({"models"}),
    frozenset({"domain"}),
    frozenset(
        {
            "addresses",
            "bounds",
            "json_objects",
            "config",
            "extensions",
            "http",
            "telemetry",
            "embedded",
            "flask_app",
            "flask_settings",
            "patient_redis",
            "pooler",
            "problems",
            "ratelimit",
            "queries",
            "replica",
            "statements",
            "version",
        }
    ),
)
FLOOR = LAYERS[-1]
MOVES = "services.moves"
"""The machinery of a move: the use cases know it, and it knows none of them."""


def part_of(name: str) -> str:
    """`services.charges` -> services."""
    return name.split(".")[0]


def imported(source: str) -> Iterator[str]:
    """The names of ours that a module imports, inside functions too, without the package's."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where they point"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(PACKAGE))


def wrong_imports(modules: dict[str, str]) -> list[str]:
    """`modules` maps names such as services.charges to their source."""
    depth = {part: depth for depth, layer in enumerate(LAYERS) for part in layer}
    wrong = []
    for module, source in modules.items():
        own = part_of(module)
        for name in imported(source):
            target = part_of(name)
            if own == "sandbox":
                fits = target in FLOOR | {"sandbox"}
            elif target not in depth or own not in depth:
                fits = False
            else:
                together = own == target or {own, target} <= FLOOR
                if module.startswith(MOVES) and target == "services":
                    together = name.startswith(MOVES)
                fits = together or depth[own] < depth[target]
            if not fits:
                wrong.append(f"{module} imports {name}")
    return wrong


def modules() -> dict[str, str]:
    """All modules of the package with their source."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        names = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        found[".".join(names[:-1] if names[-1] == "__init__" and names[:-1] else names)] = (
            path.read_text()
        )
    return found


def test_imports_point_down() -> None:
    assert wrong_imports(modules()) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("models.payments", "from payment_service.services import charges"),
        ("domain.money", "import payment_service.models.payments"),
        ("domain.money", "def f():\n    from payment_service import models"),
        ("services.charges", "from payment_service.api.auth import caller"),
        ("schemas.payments", "from payment_service.services.rows import Row"),
        ("providers.cash", "from payment_service import idempotency"),
        ("outbox.relay", "if True:\n    import payment_service.providers.registry"),
        ("trips", "from payment_service.outbox import routes"),
        ("api.payments", "from payment_service import cli"),
        ("api.payments", "from payment_service import create_app"),
        ("seeding.catalog", "from payment_service.services import providers"),
        ("config", "from payment_service.domain import money"),
        ("sandbox.control", "from payment_service.providers.contract import Operation"),
        ("services.charges", "from payment_service.sandbox import state"),
        ("services.moves.steps", "from payment_service.services import charges"),
        ("services.moves.steps", "from payment_service.services.charges import charge"),
        ("services.charges", "from payment_service.brand_new import thing"),
        ("brand_new", "from payment_service import config"),
    ],
)
def test_an_import_that_points_elsewhere_is_found(module: str, line: str) -> None:
    assert wrong_imports({module: line}) != []


LONGEST_CHAIN = 6
"""Of imports among the modules of services/, the machinery of a move counted as one: who follows a
use case down must still have all of it in mind. The first of six is what operators and jobs do
with it (by_operators, bulk)."""


def graph_of(
    sources: dict[str, str], *, as_one: frozenset[str] = frozenset()
) -> dict[str, set[str]]:
    """Which of these modules imports which others; a package in `as_one` counts as one module."""

    def room(module: str) -> str:
        return next((one for one in as_one if f"{module}.".startswith(f"{one}.")), module)

    graph: dict[str, set[str]] = {room(module): set() for module in sources}
    for module, source in sources.items():
        for name in imported(source):
            target = name if name in sources else name.rpartition(".")[0]
            if target in sources and room(target) != room(module):
                graph[room(module)].add(room(target))
    return graph


def longest_chain(graph: dict[str, set[str]]) -> list[str]:
    """The longest chain of imports, from the top. Raises CycleError where one runs back up."""
    chains: dict[str, list[str]] = {}
    for module in TopologicalSorter(graph).static_order():
        below = max((chains[target] for target in sorted(graph[module])), key=len, default=[])
        chains[module] = [module, *below]
    return max(chains.values(), key=len)


def of_services() -> dict[str, str]:
    found = {name: source for name, source in modules().items() if part_of(name) == "services"}
    return {name: source for name, source in found.items() if name not in ("services", MOVES)}


def test_no_chain_of_imports_in_services_is_long() -> None:
    chain = longest_chain(graph_of(of_services(), as_one=frozenset({MOVES})))
    assert len(chain) <= LONGEST_CHAIN, " > ".join(chain)


def test_no_import_of_services_runs_back_up() -> None:
    """Between any two modules, those of a move too."""
    longest_chain(graph_of(of_services()))


def test_a_long_chain_and_a_circle_are_found() -> None:
    """A module that is imported is named as `from services import one`, or by what it has."""
    below = {f"services.m{n}": f"from payment_service.services import m{n + 1}" for n in range(5)}
    below["services.m5"] = f"from payment_service.{MOVES}.rows import Row"
    sources = below | {
        f"{MOVES}.rows": "",
        f"{MOVES}.steps": f"import payment_service.{MOVES}.rows",
    }
    chain = longest_chain(graph_of(sources, as_one=frozenset({MOVES})))
    assert chain == [*(f"services.m{n}" for n in range(6)), MOVES]
    sources[f"{MOVES}.rows"] = f"def f():\n    from payment_service.{MOVES}.steps import begin"
    assert longest_chain(graph_of(sources, as_one=frozenset({MOVES}))) == chain
    with pytest.raises(CycleError):
        longest_chain(graph_of(sources))


def test_what_points_down_is_let_through() -> None:
    assert (
        wrong_imports(
            {
                "__init__": "from payment_service import api, cli, config",
                "cli": "from payment_service import seeding",
                "services.charges": "from payment_service.providers.provider import Provider",
                "statements": "from payment_service.extensions import db",
                "sandbox.control": "from payment_service.http import get\nimport flask",
            }
        )
        == []
    )


def test_the_extensions_import_nothing_of_ours() -> None:
    assert list(imported(modules()["extensions"])) == []


# No framework, no SQL, no I/O: what the rules may use of the world.
PURE = {
    *("__future__", "collections", "dataclasses", "datetime", "decimal", "enum", "hashlib"),
    *("iso4217", "json", "orjson", "re", "secrets", "typing", "unicodedata"),
}


def test_the_domain_is_pure() -> None:
    for module, source in modules().items():
        if part_of(module) == "domain":
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    names = [a.name for a in node.names]
                    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
                    for name in names:
                        ours = name == PACKAGE or name.startswith(f"{PACKAGE}.domain")
                        assert ours or name.split(".")[0] in PURE, f"{module} imports {name}"


def test_how_operators_come_in_is_asked_of_the_settings_rules() -> None:
    """One rule each (config/operators.py, config/sso.py): who spelled it anew would miss what is
    added to it."""
    for module, source in modules().items():
        if part_of(module) != "config":
            assert ".operator_login" not in source, module


def called(source: str) -> set[str]:
    """The names of the methods that a module calls, such as commit in session.commit()."""
    return {
        node.func.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }


def test_only_business_code_commits() -> None:
    """A transaction, or a statement on the connections that commit each by themselves."""
    may = {"services", "seeding", "idempotency"}
    for module, source in modules().items():
        if part_of(module) in may or module == "outbox.relay" or part_of(module) == "sandbox":
            continue
        assert not called(source) & {"commit", "begin", "begin_nested", "rollback"}, module
        if module not in ("flask_settings", "extensions", "statements"):
            names = {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)}
            assert not names & {"HOT", "hot"}, module


def test_only_http_imports_requests() -> None:
    """The receipts' PDF, the brokers and Redis have clients of their own; all HTTP goes here."""
    clients = re.compile(
        r"^\s*(import|from) (requests|urllib3|httpx|http\.client|urllib\.request)\b"
    )
    for module, source in modules().items():
        if part_of(module) not in ("http", "sandbox"):
            found = [line for line in source.splitlines() if clients.match(line)]
            assert found == [], module


def shared_class_names(modules: dict[str, str]) -> list[str]:
    """The names that two classes of one layer have, with the modules in which they stand."""
    depth = {part: str(depth) for depth, layer in enumerate(LAYERS) for part in layer}
    found: dict[tuple[str, str], list[str]] = {}
    for module, source in modules.items():
        part = part_of(module)
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                found.setdefault((depth.get(part, part), node.name), []).append(module)
    return [f"{name}: {', '.join(where)}" for (_, name), where in found.items() if len(where) > 1]


def test_no_two_classes_of_a_layer_share_a_name() -> None:
    assert shared_class_names(modules()) == []


def test_two_classes_of_one_name_in_a_layer_are_found() -> None:
    report = "class Report:\n    pass"
    assert shared_class_names({"services.audit": report, "seeding.report": report}) != []
    assert shared_class_names({"sandbox.page": report, "sandbox.control": report}) != []
    assert shared_class_names({"services.audit": report, "models.audit": report}) == []


FOREIGN = {"_type"}
"""Private names of libraries that the package happens to have as well: prometheus_client's."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and len(name) > 1


def defined(source: str) -> set[str]:
    """What a module gives a name: functions, classes, attributes and variables."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def named_from_outside(source: str) -> Iterator[str]:
    """The attributes that a module names of anything but self, by a dot, by their text in a call
    of setattr, or in an import."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            of = ast.unparse(node.value)
            if of not in ("self", "cls", "super()"):
                yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
            yield from (
                arg.value.rpartition(".")[2]
                for arg in node.args[:2]
                if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            )
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def private_names(source: str, ours: set[str]) -> set[str]:
    """The private names of the package that a test's source takes hold of."""
    wanted = set(named_from_outside(source)) & ours - defined(source) - FOREIGN
    return {name for name in wanted if is_private(name)}


def test_tests_take_hold_of_no_private_name() -> None:
    """What a test must hold up or take out has a name of its own; a test may be a subclass."""
    ours = set().union(*(defined(source) for source in modules().values()))
    for path in sorted((ROOT / "tests").rglob("*.py")):
        assert private_names(path.read_text(), ours) == set(), path


@pytest.mark.parametrize(
    "line",
    [
        "found = relay._mark",
        "monkeypatch.setattr(relay, '_mark', late)",
        "monkeypatch.setattr('payment_service.outbox.relay._mark', late)",
        "app.extensions['providers'].get('sandbox')._mark()",
        "from payment_service.outbox.relay import _mark",
    ],
)
def test_a_private_name_in_a_test_is_found(line: str) -> None:
    assert private_names(line, {"_mark"}) == {"_mark"}


STATUSES = {200, 201, 202, 204, 400, 402, 403, 404, 409, 410, 422, 429, 503}
"""Numbers that are nothing but HTTP's in code like ours."""


def http_in(source: str) -> list[str]:
    """What of a service speaks HTTP: a status, a body of the wire, the request or the response."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in STATUSES:
            found.append(str(node.value))
        if isinstance(node, ast.ImportFrom) and node.module == "flask":
            found += [alias.name for alias in node.names if alias.name in ("request", "Response")]
    bodies = [f"{PACKAGE}.schemas.{noun}" for noun in ("payments", "refunds", "commands")]
    return found + [line for line in source.splitlines() if any(body in line for body in bodies)]


def test_services_speak_no_http() -> None:
    """A command goes in, an ending comes out (docs/architecture.md)."""
    for module, source in modules().items():
        if part_of(module) == "services":
            assert http_in(source) == [], module


@pytest.mark.parametrize(
    "source",
    [
        "return Answer(201, text)",
        "status = 402 if failed else 0",
        "from flask import current_app, request",
        "from payment_service.schemas.payments import detail_body",
    ],
)
def test_a_service_that_speaks_http_is_found(source: str) -> None:
    assert http_in(source) != []


HISTORY = "import"
"""What stands in `provider` of imported rows; `payments.imported` says what they are."""

_COMPARING = {"in_", "not_in", "is_distinct_from", "is_not_distinct_from", "startswith", "endswith"}


def told_apart(module: str, source: str, names: set[str]) -> list[str]:
    """Where a module asks for a provider by name: compared or matched, in Python or in the text of
    an SQL statement, as a string, as `XProvider.name` or by its class. A provider's own module may
    name it."""
    names = names - {module.removeprefix("providers.")}
    words = "|".join(sorted(map(re.escape, names)))
    sql = re.compile(rf"(=|<>|\bFROM|\bIN\s*\([^)]*)\s*'({words})'|'({words})'\s*(=|<>|!=)", re.I)

    def names_one(node: ast.AST) -> bool:
        if isinstance(node, ast.Attribute) and node.attr == "name":
            return is_class(node.value)
        return isinstance(node, ast.Constant) and node.value in names

    def is_class(node: ast.AST) -> bool:
        name: str = getattr(node, "attr", getattr(node, "id", ""))
        return name.endswith("Provider") and name != "Provider"

    def asks(node: ast.AST) -> bool:
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            sides = [node.value]
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("isinstance", "issubclass"):
                return any(is_class(one) for one in ast.walk(node.args[1]))
            sides = list(node.args) if called in _COMPARING else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            return bool(sql.search(node.value))
        else:
            return False
        return any(names_one(one) for side in sides for one in ast.walk(side))

    found = (node for node in ast.walk(ast.parse(source)) if asks(node))
    return [f"{module}, line {getattr(node, 'lineno', 0)}" for node in found]


def test_no_provider_is_told_apart_by_its_name() -> None:
    """What one of them is or can do is a property of it (providers/provider.py)."""
    names = {*BUILDERS, HISTORY}
    assert len(names) > 1
    for module, source in modules().items():
        if part_of(module) != "sandbox":
            assert told_apart(module, source, names) == []


@pytest.mark.parametrize(
    "source",
    [
        'if payment["provider"] == "cash": pass',
        'by_hand = "import" != row.provider',
        'taken = [row for row in rows if row["provider"] in ("cash", "import")]',
        "first = True if provider.name == CashProvider.name else False",
        "query.where(TRANSACTION.c.provider != cash.CashProvider.name)",
        'query.where(TRANSACTION.c.provider.not_in(["cash"]))',
        'match provider:\n    case "cash" | "other": pass',
        "while isinstance(provider, (int, CashProvider)): pass",
        "text(\"SELECT 1 FROM payments WHERE provider IS DISTINCT FROM 'import'\")",
        "text(f\"SELECT {a} WHERE p.provider <> 'import' {b}\")",
        "text(\"SELECT 1 WHERE provider IN ('other', 'cash')\")",
    ],
)
def test_a_provider_told_apart_by_its_name_is_found(source: str) -> None:
    names = {"cash", HISTORY}
    assert told_apart("services.refunds", source, names) != []
    assert told_apart("providers.sandbox", source, names) != []


def test_what_names_a_provider_and_asks_nothing_is_let_through() -> None:
    for source in (
        'BUILDERS = {"cash": CashProvider}',
        'class CashProvider(Provider):\n    name = "cash"',
        'row = {"provider": "import"}',
        "text(\"INSERT INTO payments (provider) SELECT 'import', method\")",
        'if payment["method"] == "CASH" or isinstance(provider, Provider): pass',
    ):
        assert told_apart("services.refunds", source, {"cash", HISTORY}) == []
    own = 'if operation.name == "cash": pass'
    assert told_apart("providers.cash", own, {"cash"}) == []


LONGEST = 300


def test_no_module_is_long() -> None:
    assert not [name for name, source in modules().items() if source.count("\n") > LONGEST]


def test_modules_are_named_for_what_they_do() -> None:
    vague = {"utils", "helpers", "common", "base", "manager", "processor", "handler", "misc"}
    for module in modules():
        assert not vague & set(module.split(".")), module
