"""The meaning of code: words change nothing, numbers in any module that a stage reaches make the stage anew."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import NoneType

import pytest
from stage_code import KEPT_STAGES

from harness.core.places import PROJECT
from harness.run.code import NEUTRAL, OURS, READS_ANNOTATIONS, Code, CodeError, Source, on_disk, read_module

CODE = Code()
REACHED = sorted(set().union(*(CODE.closure(*code) for code in KEPT_STAGES.values())))
EVERY_MODULE = sorted(
    ".".join(file.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
    for room in OURS
    for file in (PROJECT / room).rglob("*.py")
)
STAGE_MODULES = [(stage, name) for stage, code in KEPT_STAGES.items() for name in sorted(CODE.closure(*code))]


def digests(code: Code) -> dict[str, str]:
    return {stage: code.digest(*roots) for stage, roots in KEPT_STAGES.items()}


def source_of(name: str) -> Source:
    found = on_disk(name)
    assert found is not None, name
    return found


def edited(name: str, tree: ast.Module) -> Code:
    """The code with another tree in one module: written down anew, which drops every comment and moves every line."""
    source = source_of(name)
    return CODE.edited(name, Source(ast.unparse(ast.fix_missing_locations(tree)), source.package))


# --- words ----------------------------------------------------------------------------------------


class Reworded(ast.NodeTransformer):
    """Other docstrings everywhere, also where there was none; other annotations of every function."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._with_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._with_docstring(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            argument.annotation = ast.Name("AnythingElse")
        node.returns = ast.Constant("AnythingElse")
        return self._with_docstring(node)

    def _with_docstring(self, node: ast.Module | ast.ClassDef | ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        kept = node.body[1:] if ast.get_docstring(node) is not None else node.body
        # After "from __future__", nothing but a docstring may go before it.
        node.body = [ast.Expr(ast.Constant("Says it in other words.")), *kept]
        return node


@pytest.mark.parametrize("name", REACHED)
def test_comments_docstrings_and_annotations_of_functions_make_no_stage_anew(name: str):
    other = Reworded().visit(ast.parse(source_of(name).text))
    assert ast.unparse(other) != ast.unparse(ast.parse(source_of(name).text))
    assert digests(edited(name, other)) == digests(CODE)


@pytest.mark.parametrize("name", REACHED)
def test_a_comment_and_an_empty_line_make_no_stage_anew(name: str):
    source = source_of(name)
    text = "\n".join(f"{line}  # why\n" if line.endswith(":") else line for line in source.text.split("\n"))
    if ast.dump(ast.parse(text)) != ast.dump(ast.parse(source.text)):  # a colon inside a text of several lines
        text = source.text
    changed = CODE.edited(name, Source(f"# Another first line.\n\n{text}\n# The end.\n", source.package))
    assert digests(changed) == digests(CODE)


# --- numbers --------------------------------------------------------------------------------------

OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Lt: ast.GtE, ast.Gt: ast.LtE}


def changeable(tree: ast.Module) -> Iterator[ast.AST]:
    """Every constant and operator that says something: in no docstring, and in no annotation of a function."""
    words = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        for annotation in (getattr(node, "returns", None), isinstance(node, ast.arg) and node.annotation):
            words |= {id(inner) for inner in ast.walk(annotation)} if annotation else set()
        if isinstance(node, ast.AnnAssign):
            words |= {id(inner) for inner in ast.walk(node.annotation)}
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            words |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) not in words and _is_changeable(node):
            yield node


def _is_changeable(node: ast.AST) -> bool:
    match node:
        case ast.Constant():
            return node.value is not None and node.value is not ...
        case ast.BinOp() | ast.AugAssign():
            return type(node.op) in OPERATORS
        case ast.Compare():
            return type(node.ops[0]) in OPERATORS
    return False


def change(node: ast.AST) -> None:
    if isinstance(node, ast.Constant):
        value = node.value
        node.value = not value if isinstance(value, bool) else value * 2 + type(value)(b"1" if value == b"" else 1)
    elif isinstance(node, ast.Compare):
        node.ops[0] = OPERATORS[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp | ast.AugAssign):
        node.op = OPERATORS[type(node.op)]()


@cache
def mutants(name: str) -> list[tuple[str, Code]]:
    """The code with one thing changed in a module: the first, the last, some between; where there is none, one more."""
    return [(what, edited(name, tree)) for what, tree in changed_trees(source_of(name).text)]


def changed_trees(text: str) -> Iterator[tuple[str, ast.Module]]:
    count = len(list(changeable(ast.parse(text))))
    for place in sorted({0, count // 3, 2 * count // 3, count - 1} if count else ()):
        tree = ast.parse(text)
        node = list(changeable(tree))[place]
        before = ast.unparse(node) if isinstance(node, ast.expr) else ast.dump(node)
        change(node)
        yield f"{before} in line {getattr(node, 'lineno', '?')}", tree
    if not count:
        yield "a constant more", ast.parse(f"{text}\nONE_MORE = 1\n")


@pytest.mark.slow(but_one_in=4)
@pytest.mark.parametrize(("stage", "name"), STAGE_MODULES, ids=lambda value: value.removeprefix("harness."))
def test_a_constant_or_operator_changed_in_any_module_that_a_stage_reaches_makes_it_anew(stage: str, name: str):
    before = CODE.digest(*KEPT_STAGES[stage])
    for what, code in mutants(name):
        assert code.digest(*KEPT_STAGES[stage]) != before, what


@pytest.mark.slow(but_one_in=4)
@pytest.mark.parametrize("name", EVERY_MODULE)
def test_a_module_that_a_stage_does_not_reach_does_not_change_its_key(name: str):
    other = CODE.edited(name, Source(source_of(name).text + "\nONE_MORE = 1\n", source_of(name).package))
    for stage, code in KEPT_STAGES.items():
        reached = name in CODE.closure(*code)
        assert (other.digest(*code) != CODE.digest(*code)) == reached, stage


@pytest.mark.parametrize("stage", KEPT_STAGES)
def test_no_stage_depends_on_judge_report_pack_claims_or_on_how_the_run_is_wired(stage: str):
    rooms = {name.split(".")[1] for name in CODE.closure(*KEPT_STAGES[stage]) if name.startswith("harness.")}
    assert rooms <= {"core", "protocol", "data", "model", "metrics", "run"}
    own = {name for name in CODE.closure(*KEPT_STAGES[stage]) if name.startswith("harness.run.")}
    assert not own & {f"harness.run.{name}" for name in ("graph", "store", "setting", "evidence", "stages")}


# --- what counts as meaning, in small ------------------------------------------------------------


def meaning(text: str) -> str:
    return read_module("harness.m", Source(text, package=False)).digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1  # one"),
        ("x = 1", '"""What."""\nx = 1'),
        ("x = 1", "x: int = 1"),
        ("x = 1", "x: int = 1\ny: str"),
        ("x = 1", "x = 1\n'a note'\n..."),
        ("x = (1)", "x = 1"),
        ("x = 'a'", 'x = "a"'),
        ("x = [1, 2]", "x = [\n    1,\n    2,\n]"),
        ("def f(a): return a", 'def f(a):\n    """Returns."""\n    return a'),
        ("def f(a, /, b, *c, d, **e): return a", "def f(a: A, /, b: B, *c: C, d: D, **e: E) -> R: return a"),
        ("async def f(a): return a", 'async def f(a: int) -> int:\n    "Doc."\n    return a'),
        ("def f():\n    self.x = 1", "def f():\n    self.x: int = 1"),
        ("class A:\n    def f(self): self.x = 1", "class A:\n    def f(self) -> None: self.x: int = 1"),
        ("class A: ...", 'class A:\n    """Doc."""'),
        ("class A: pass", 'class A:\n    """Doc."""'),
        ("", "if TYPE_CHECKING:\n    from harness.x import y"),
        ("x = 1", "if typing.TYPE_CHECKING:\n    import a\nelse:\n    x = 1"),
    ],
)
def test_texts_that_mean_the_same(one: str, other: str):
    assert meaning(one) == meaning(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 1", "x = '1'"),
        ("x = 'a'", "x = b'a'"),
        ("x = 0.1", "x = 0.10000000000000002"),
        ("x = a + b", "x = a - b"),
        ("x = a < b", "x = a <= b"),
        ("x = a - b", "x = b - a"),
        ("x = -a", "x = a"),
        ("x = f(a, b)", "x = f(a, b=b)"),
        ("x = [a, b]", "x = (a, b)"),
        ("x = 1\ny = 2", "y = 2\nx = 1"),
        ("x = 1\nx = 1", "x = 1"),
        ("def f(a=1): return a", "def f(a=2): return a"),
        ("def f(a, b): return a", "def f(a, *, b): return a"),
        ("def f(a): return a", "def f(a): yield a"),
        ("def f(a): return a", "async def f(a): return a"),
        ("def f(a): return a", "@cache\ndef f(a): return a"),
        ("lambda a: a + 1", "lambda a: a + 2"),
        ("f'{x:.1f}'", "f'{x:.2f}'"),
        ("class A:\n    x: int", "class A:\n    x: float"),
        ("class A:\n    x: int = 1", "class A:\n    x = 1"),
        ("class A:\n    if B:\n        x: int", "class A:\n    if B:\n        x: str"),
        ("class A:\n    x: Annotated[int, Field(ge=1)]", "class A:\n    x: Annotated[int, Field(ge=2)]"),
        ("X: TypeAlias = Annotated[int, Field(ge=1)]", "X: TypeAlias = Annotated[int, Field(ge=2)]"),
        ("@validate_call\ndef f(a: int): return a", "@validate_call\ndef f(a: str): return a"),
        ("@x.validate_call(a=1)\ndef f(a: int): ...", "@x.validate_call(a=1)\ndef f(a: str): ..."),
        ("if a:\n    x = 1", "if a:\n    x = 2"),
        ("try:\n    x = 1\nexcept A:\n    x = 2", "try:\n    x = 1\nexcept A:\n    x = 3"),
        ("try:\n    x()\nexcept A:\n    y()", "try:\n    x()\nexcept B:\n    y()"),
        ("try:\n    x()\nexcept A:\n    y()", "try:\n    x()\nexcept A:\n    pass\nelse:\n    y()"),
        ("try:\n    x()\nfinally:\n    y()", "try:\n    x()\nfinally:\n    z()"),
        ("match a:\n    case 1:\n        x()", "match a:\n    case 2:\n        x()"),
        ("with a as b:\n    x = 1", "with a as b:\n    x = 2"),
        ("import a", "import b"),
        ("from a import b", "from a import b as c"),
        ("assert a", "assert b"),
    ],
)
def test_texts_that_mean_something_else(one: str, other: str):
    assert meaning(one) != meaning(other)


# --- what an import reaches ----------------------------------------------------------------------

MODULES = {
    "harness": ("", True),
    "harness.a": ("import numpy", True),
    "harness.a.b": ("X = 1", False),
    "harness.a.c": ("from harness.d import Y", False),
    "harness.d": ("Y = 1", False),
}
IMPORTS = [
    ("import harness.a.b", {"harness.a", "harness.a.b"}),
    ("import harness.a.b as x", {"harness.a", "harness.a.b"}),
    ("from harness.a import b", {"harness.a", "harness.a.b"}),
    ("from harness.a.b import X", {"harness.a", "harness.a.b"}),
    ("from harness.a import c", {"harness.a", "harness.a.c", "harness.d"}),
    ("from .a import b", {"harness.a", "harness.a.b"}),
    ("from . import d", {"harness.d"}),
    ("def f():\n    from harness.a.b import X", {"harness.a", "harness.a.b"}),
    ("class A:\n    def f(self):\n        if x:\n            import harness.d", {"harness.d"}),
    ("try:\n    import harness.d\nexcept E:\n    import harness.a", {"harness.a", "harness.d"}),
    ("try:\n    x()\nexcept E:\n    pass\nelse:\n    import harness.a\nfinally:\n    import harness.d",
     {"harness.a", "harness.d"}),
    ("with x:\n    import harness.d", {"harness.d"}),
    ("for x in y:\n    pass\nelse:\n    import harness.d", {"harness.d"}),
    ("match x:\n    case 1:\n        import harness.d", {"harness.d"}),
    ("if TYPE_CHECKING:\n    import harness.a.c", set()),
    ("if TYPE_CHECKING:\n    import harness.a.b\nelse:\n    import harness.d", {"harness.d"}),
    ("import numpy\nfrom os import path", set()),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reached"), IMPORTS)
def test_an_import_is_followed_wherever_it_stands(text: str, reached: set[str]):
    sources = {**MODULES, "harness.root": (text, False)}
    code = Code(lambda name: Source(*sources[name]) if name in sources else None)
    assert code.closure("harness.root") == {"harness.root", *reached}


def test_what_a_package_runs_as_it_is_imported_is_reached_too():
    sources = {**MODULES, "harness.a": ("from harness.d import Y", True), "harness.root": ("import harness.a.b", False)}
    code = Code(lambda name: Source(*sources[name]) if name in sources else None)
    assert "harness.d" in code.closure("harness.root")


def test_an_import_that_is_added_to_a_helper_is_followed():
    stage = KEPT_STAGES["trained"]
    helper = source_of("harness.model.seeding")
    code = CODE.edited("harness.model.seeding", Source(f"{helper.text}\nimport harness.judge.ledger\n", False))
    assert "harness.judge.ledger" in code.closure(*stage) - CODE.closure(*stage)
    ledger = source_of("harness.judge.ledger")
    again = code.edited("harness.judge.ledger", Source(f"{ledger.text}\nONE_MORE = 1\n", False))
    assert len({CODE.digest(*stage), code.digest(*stage), again.digest(*stage)}) == 3


def test_a_name_that_moves_to_another_module_is_found_there():
    before = {"harness.root": "from harness.d import Y", "harness.d": "Y = 1", "harness.e": ""}
    after = {"harness.root": "from harness.e import Y", "harness.d": "", "harness.e": "Y = 1"}
    changed = {**after, "harness.e": "Y = 2"}
    found = [
        Code(lambda name, texts=texts: Source(texts[name], False) if name in texts else None).digest("harness.root")
        for texts in (before, after, changed)
    ]
    assert len(set(found)) == 3


def test_a_root_that_is_not_there_or_does_not_parse_is_an_error():
    with pytest.raises(CodeError, match=r"no module harness\.nowhere .*Correct it"):
        CODE.digest("harness.nowhere")
    with pytest.raises(CodeError, match=r"harness\.d does not parse"):
        CODE.edited("harness.d", Source("def (", False))


# --- what the digest rests on --------------------------------------------------------------------


def of_kind(*kinds: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    for name in REACHED:
        for node in ast.walk(ast.parse(source_of(name).text)):
            if isinstance(node, kinds):
                yield name, node


def test_modules_that_hold_only_words_are_reached_and_hold_no_number_and_reach_nothing_else():
    imported = set().union(*(read_module(name, source_of(name)).imports for name in REACHED))
    assert imported >= NEUTRAL
    for name in NEUTRAL:
        source = source_of(name)
        assert read_module(name, source).imports <= NEUTRAL
        tree = ast.parse(source.text)
        annotations = [node.annotation for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
        told = {id(inner) for annotation in annotations for inner in ast.walk(annotation)}
        for node in ast.walk(tree):
            if id(node) in told:
                continue
            # Not even a flag: what a stage could take from here are exceptions and texts.
            assert not isinstance(node, ast.BinOp | ast.AugAssign | ast.UnaryOp), (name, ast.unparse(node))
            assert not isinstance(node, ast.Constant) or isinstance(node.value, str | NoneType), (
                name,
                ast.unparse(node),
            )
            if isinstance(node, ast.FunctionDef):
                assert ast.unparse(node.returns or ast.Constant(None)) == "str", (name, node.name)


# What imports or runs a module by a name that only running it would tell.
HIDDEN = {"import_module", "__import__", "run_path", "run_module", "iter_modules", "walk_packages", "exec", "eval"}
HIDDEN |= {"spec_from_file_location", "exec_module", "find_spec"}


def test_no_stage_imports_by_a_name_that_only_running_it_would_tell():
    found = {
        (name, getattr(node, "attr", "") or getattr(node, "id", ""))
        for name, node in of_kind(ast.Name, ast.Attribute)
        if getattr(node, "id", "") in HIDDEN or getattr(node, "attr", "") in HIDDEN - {"eval", "exec"}
    }
    assert found <= {
        # A script, which runs the module beside it; the stage that exports names both.
        ("harness.model.export_reader", "run_path"),
        # Looks up the metric that a criterion names: what a criterion asks is not part of what a stage makes.
        ("harness.protocol.criteria", "import_module"),
        # Not for a module of ours.
        ("harness.protocol.expectations", "import_module"),
        ("harness.model.torchvision_compat", "find_spec"),
        ("harness.model.weights", "find_spec"),
    }
    assert {"harness.model.export_reader", "harness.model.torchvision_compat"} <= CODE.closure(*KEPT_STAGES["export"])


# Decorators that leave annotations alone.
SILENT = {"dataclass", "property", "staticmethod", "classmethod", "contextmanager", "cache", "cached_property"}
SILENT |= {"field_validator", "model_validator", "runtime_checkable", "no_grad", "abstractmethod", "lru_cache"}


def test_no_stage_reads_what_is_left_out_of_the_meaning():
    decorators = {
        (name, (each.func if isinstance(each, ast.Call) else each))
        for name, node in of_kind(ast.FunctionDef, ast.ClassDef)
        for each in node.decorator_list
    }
    unknown = {
        (name, ast.unparse(each))
        for name, each in decorators
        if ast.unparse(each).rpartition(".")[2] not in SILENT | READS_ANNOTATIONS
    }
    assert not unknown
    reading = {"__doc__", "__annotations__", "get_type_hints", "get_annotations", "signature", "getdoc", "getsource"}
    assert not {
        (name, ast.unparse(node))
        for name, node in of_kind(ast.Name, ast.Attribute)
        if reading & {getattr(node, "id", ""), getattr(node, "attr", "")}
    }


def test_each_module_is_read_once_for_all_stages():
    """Parsing is what takes the time: a fraction of a second for all of them (docs/measurements.md)."""
    read = Counter[str]()

    def find(name: str) -> Source | None:
        read[name] += 1
        return on_disk(name)

    assert digests(Code(find)) == digests(CODE)
    assert set(read.values()) == {1}
    assert {name for name in read if on_disk(name) is not None} > CODE.closure(*KEPT_STAGES["trained"])


def test_modules_lie_where_the_digest_looks_for_them():
    assert Path(PROJECT, "harness", "run", "code.py").samefile(
        Path(__file__).parents[1] / "harness" / "run" / "code.py"
    )
    assert {"harness.run.code", "fixtures.smears"} <= set(EVERY_MODULE)
