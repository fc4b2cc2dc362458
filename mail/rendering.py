"""Renders templates. A company's own template is not trusted.

It runs in Jinja's sandbox with a small subset of the language, so that it cannot run for ever, call
anything, or read anything but its variables.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NoReturn

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mail.context import Words

NAMES = "name seller product amount card explanation next_try ends button link others"
VARIABLES = frozenset(NAMES.split())
OF_OTHERS = frozenset({"product", "amount"})
FILTERS = {"upper": str.upper, "lower": str.lower, "title": str.title, "capitalize": str.capitalize}
PLAIN_NODES = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Const,
    nodes.If,
    nodes.CondExpr,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Compare,
)
ALLOWED = (
    f"Allowed are the variables {', '.join(NAMES.split())}; the filters "
    f"{', '.join(FILTERS)}; if with and, or, not, == and !=; and one loop at a time, "
    "for other in others, with other.product and other.amount."
)
LONGEST_RESULT = 60_000

Form = Literal["text", "html"]


class BrokenTemplateError(ValueError):
    """The text says what is wrong and in which line."""

    def __init__(self, line: int | None, words: str) -> None:
        super().__init__(words if line is None else f"line {line}: {words}")


class NotTextError(TemplateError):
    pass


def require_text(value: Any) -> Any:
    """A message without a next try must not say "None"."""
    if not isinstance(value, str):
        raise NotTextError(
            "this is empty in some messages, or is not text; put {% if seller %} … {% endif %} "
            "around what uses seller, and the same for next_try"
        )
    return value


def make_filter(change: Callable[[str], str]) -> Callable[[Any], str]:
    return lambda value: change(require_text(value))


def make_environment(form: Form) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        autoescape=form == "html",
        undefined=StrictUndefined,
        finalize=require_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters = {name: make_filter(change) for name, change in FILTERS.items()}
    return environment


ENVIRONMENTS: dict[Form, ImmutableSandboxedEnvironment] = {
    "text": make_environment("text"),
    "html": make_environment("html"),
}


def fill(source: str, form: Form, words: Words) -> str:
    """Raises BrokenTemplateError."""
    template = compile_source(source, form)
    try:
        result = template.render(words)
    except TemplateError as error:
        reason = error.message or "this cannot be filled"
        raise BrokenTemplateError(find_line(error), reason) from None
    if len(result) > LONGEST_RESULT:
        raise BrokenTemplateError(None, f"the result has more than {LONGEST_RESULT:,} characters")
    return result


@lru_cache(maxsize=256)
def compile_source(source: str, form: Form) -> Template:
    """Raises BrokenTemplateError."""
    environment = ENVIRONMENTS[form]
    try:
        tree = environment.parse(source)
        check(tree)
        return environment.from_string(source)
    except BrokenTemplateError:
        raise
    except TemplateSyntaxError as error:
        raise BrokenTemplateError(error.lineno, error.message or "this cannot be read") from None
    # Python's own errors for a thousand brackets, or for a number of ten thousand digits.
    except (RecursionError, MemoryError, SyntaxError, ValueError):
        raise BrokenTemplateError(None, "this is too deep or too long to be read") from None


def check(node: nodes.Node, item: str | None = None) -> None:
    """Raises BrokenTemplateError. `item` is the variable of the loop around the node."""
    if isinstance(node, nodes.For):
        item = check_loop(node, item)
    elif isinstance(node, nodes.Name):
        if node.name not in VARIABLES | {item}:
            refuse(node, f"there is no variable {node.name!r}.")
    elif isinstance(node, nodes.Getattr):
        if not isinstance(node.node, nodes.Name) or node.node.name != item:
            refuse(node, f"there is nothing behind the dot of .{node.attr}.")
        if node.attr not in OF_OTHERS:
            refuse(node, f"{item} has no {node.attr!r}.")
    elif isinstance(node, nodes.Filter):
        if node.name not in FILTERS or node.args or node.kwargs:
            refuse(node, f"the filter {node.name!r} cannot be used so.")
    elif isinstance(node, nodes.Operand):
        if node.op not in ("eq", "ne"):
            refuse(node, f"{node.op!r} cannot compare.")
    elif not isinstance(node, PLAIN_NODES):
        refuse(node, f"{type(node).__name__.lower()!r} cannot be used.")
    for child in node.iter_child_nodes():
        check(child, item)


def check_loop(loop: nodes.For, item: str | None) -> str:
    over_others = isinstance(loop.iter, nodes.Name) and loop.iter.name == "others"
    if item is not None or not over_others or loop.recursive or loop.test is not None:
        refuse(loop, "this loop cannot be used.")
    if not isinstance(loop.target, nodes.Name):
        refuse(loop, "this loop cannot be used.")
    return loop.target.name


def refuse(node: nodes.Node, words: str) -> NoReturn:
    raise BrokenTemplateError(node.lineno, f"{words} {ALLOWED}")


def find_line(error: TemplateError) -> int | None:
    """The line in the template: Jinja's stack frames carry its line numbers."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
