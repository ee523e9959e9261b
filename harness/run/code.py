"""The meaning of code: a digest that a comment leaves alone, and a constant in any imported module changes.

The meaning of a module is its syntax tree without comments, docstrings and annotations. The meaning of a stage's code
is that of the module it is made by and of every module of ours that this one imports, and those in turn: anywhere in
them, in functions and under conditions too, but not for the type checker alone.
"""

from __future__ import annotations

import ast
import gc
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.core.digests import digest_of
from harness.core.errors import HarnessError
from harness.core.places import PROJECT, module_root

OURS = ("harness", "fixtures")
# Modules that hold only words: what a person reads, and no number that a stage makes. Reworded, they retrain nothing.
NEUTRAL = frozenset({"harness", "harness.core.errors"})
# Decorators that read the annotations of what they decorate: there, an annotation is not a remark.
READS_ANNOTATIONS = frozenset({"validate_call", "computed_field", "field_serializer", "model_serializer", "register"})
# Fields of a node that other fields say already, or that say how a text was written.
NOT_RECOMPUTED = frozenset({"ctx", "type_comment", "kind", "type_params"})


class CodeError(HarnessError, ImportError):
    """A module that a stage depends on cannot be found or read."""


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a module. package: whether it is the `__init__` of one, from where its relative imports start."""

    text: str
    package: bool


@dataclass(frozen=True, slots=True)
class Meaning:
    """digest: of what a module does. imports: every name that may be a module of ours which it imports."""

    digest: str
    imports: frozenset[str]


def on_disk(name: str) -> Source | None:
    """The source of a module of ours; None where there is no such module."""
    parts = name.split(".")
    place = module_root(parts[0]).joinpath(*parts)
    for file, package in ((place / "__init__.py", True), (place.with_suffix(".py"), False)):
        if file.is_file():
            return Source(file.read_text(encoding="utf-8"), package)
    return None


class Code:
    """The modules of ours as `find` gives them, each read and digested once."""

    def __init__(self, find: Callable[[str], Source | None] = on_disk) -> None:
        self._find = find
        self._modules: dict[str, Meaning | None] = {}

    def digest(self, *roots: str) -> str:
        """The meaning of these modules and of everything of ours that they import.

        Raises:
            CodeError: there is no such module, or it does not parse.
        """
        return digest_of([[name, module.digest] for name, module in sorted(self._reached(roots).items())])

    def closure(self, *roots: str) -> frozenset[str]:
        """The modules that `digest` takes in; those that hold only words are not among them."""
        return frozenset(self._reached(roots))

    def edited(self, name: str, source: Source) -> Code:
        """The same code, but for one module."""
        other = Code(self._find)
        other._modules = {**self._modules, name: read_module(name, source)}
        return other

    def _reached(self, roots: Iterable[str]) -> dict[str, Meaning]:
        reached: dict[str, Meaning] = {}
        for root in roots:
            if self._module(root) is None:
                raise CodeError(f"there is no module {root} in {PROJECT}, which a stage names as its code. Correct it.")
        waiting = [name for root in roots for name in _with_packages(root)]
        while waiting:
            name = waiting.pop()
            module = self._module(name) if name not in reached and name not in NEUTRAL else None
            if module is not None:
                reached[name] = module
                waiting.extend(module.imports)
        return reached

    def _module(self, name: str) -> Meaning | None:
        if name not in self._modules:
            source = self._find(name)
            self._modules[name] = read_module(name, source) if source is not None else None
        return self._modules[name]


@cache
def installed() -> Code:
    """The code of this process. It is read once: what is edited while a run goes on is not what runs."""
    return Code()


def read_module(name: str, source: Source) -> Meaning:
    """
    Raises:
        CodeError: the text does not parse.
    """
    try:
        with _collecting_no_garbage():
            tree = ast.parse(source.text)
    except SyntaxError as error:
        raise CodeError(f"module {name} does not parse: {error}. Correct it.") from None
    said: list[str] = []
    body = _meaningful(tree.body, in_class=False)
    _write_down(body, said.append)
    digest = hashlib.sha256("\0".join(said).encode("utf-8", "surrogatepass")).hexdigest()
    package = name if source.package else name.rpartition(".")[0]
    return Meaning(digest, frozenset(each for node in _imports(body) for each in _imported(node, package)))


def _meaningful(body: Iterable[ast.stmt], *, in_class: bool) -> list[ast.stmt]:
    """The statements that do something when they run, without annotations that nothing reads.

    in_class: whether the body is a class's own: there, an annotation makes a field of a record.
    """
    return [kept for node in body for kept in _kept(node, in_class=in_class)]


def _kept(node: ast.stmt, *, in_class: bool) -> list[ast.stmt]:
    match node:
        case ast.Pass() | ast.Expr(ast.Constant()):  # a docstring, a string that serves as a comment, an ellipsis
            return []
        case ast.If(ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            return _meaningful(node.orelse, in_class=in_class)
        case ast.AnnAssign() if not in_class:
            value = node.value
            return [] if value is None else [ast.Assign(targets=[node.target], value=value)]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            if not any(_last_name(each) in READS_ANNOTATIONS for each in node.decorator_list):
                _unannotate(node)
            in_class = False
        case ast.ClassDef():
            in_class = True
    inner: list[Any] = [node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())]
    for each in inner:
        for block in ("body", "orelse", "finalbody"):
            if hasattr(each, block):
                setattr(each, block, _meaningful(getattr(each, block), in_class=in_class))
    return [node]


def _unannotate(function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    function.returns = None
    taken = function.args
    for each in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg):
        if each is not None:
            each.annotation = None


def _last_name(decorator: ast.expr) -> str:
    """Such as "computed_field" of `@pydantic.computed_field(repr=False)`."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _write_down(value: object, say: Callable[[str], None]) -> None:
    """A tree as a series of words that no other tree has; where in the file a node stands is not among them."""
    if isinstance(value, ast.AST):
        kind: Any = type(value)
        say(kind.__name__)
        for field in _told(kind):
            inner = getattr(value, field, None)
            if isinstance(inner, ast.AST | list):
                _write_down(inner, say)
            else:
                say(repr(inner))
    elif isinstance(value, list):
        say("[")
        for each in value:
            _write_down(each, say)
        say("]")
    else:
        say(repr(value))


@cache
def _told(kind: Any) -> tuple[str, ...]:
    return tuple(field for field in kind._fields if field not in NOT_RECOMPUTED)


def _imports(body: Iterable[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import among these statements, however deep."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        for each in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            for block in ("body", "orelse", "finalbody"):
                yield from _imports(getattr(each, block, ()))


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    """Every name of ours that may be a module which this import runs, packages among them."""
    if isinstance(node, ast.Import):
        names = [each.name for each in node.names]
    else:
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        origin = ".".join([*above, *([node.module] if node.module else [])])
        names = [f"{origin}.{each.name}" for each in node.names]
    for name in names:
        if name.partition(".")[0] in OURS:
            yield from _with_packages(name)


def _with_packages(name: str) -> list[str]:
    """ "harness.run.code" -> "harness", "harness.run", "harness.run.code"."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


@contextmanager
def _collecting_no_garbage() -> Iterator[None]:
    """A syntax tree is a hundred thousand objects of which none is garbage: looking for some doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
