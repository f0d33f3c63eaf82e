"""Turns a list in YAML into steps, and what is no step into the word that was probably meant."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from flowrunner.diagnostics import Diagnostic, Label, name_list, suggest
from flowrunner.options import Called, OnError, Place
from flowrunner.options.computed import ExpressionKind
from flowrunner.options.maps import nothing_more, read_short_or_long
from flowrunner.options.texts import Text
from flowrunner.read.calls import Calls
from flowrunner.read.nodes import Entry, List, Map, Node, Scalar
from flowrunner.read.words import FLOW_WORDS, example_of, our_word
from flowrunner.read.yaml_mistakes import explain_map_for_text, explain_null
from flowrunner.report import Refused, Report
from flowrunner.step import BrokenStep, Placement, Step
from flowrunner.text import Span

COMMON_KEYS = ("id", "when", "on_error")
SOURCES = ("subscribe", "every", "cron", "at_start")


class FlowContext:
    """What the kinds of option need while a flow is read: where mistakes go, how steps and files are read."""

    def __init__(
        self,
        report: Report,
        folder: Path,
        steps: Mapping[str, type[Step]],
        connections: Collection[str],
        allow: frozenset[str] | None = frozenset(),
        read: Callable[[Path], bytes] = Path.read_bytes,
        calls: Calls | None = None,
    ) -> None:
        self.report = report
        self.folder = folder
        self.connections = connections
        self.allow = allow
        self.step_types = steps
        self.read = read
        self.calls = calls
        self.files: list[Path] = []

    def read_file(self, path: str, span: Span) -> bytes:
        """See `flowrunner.options.Context.read_file`."""
        found = self.folder / path
        self.files.append(found)
        try:
            return self.read(found)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = "there is no such file"
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                reason = (error.strerror or "").lower()
            near = suggest(
                found.name, [other.name for other in found.parent.glob("*")] if found.parent.is_dir() else []
            )
            help = f"did you mean `{near}`?" if near else f"it is looked for beside the flow, as `{found}`"
            diagnostic = Diagnostic("missing-file", f"`{path}` cannot be read", span, reason, helps=(help,))
            raise self.report.refuse(diagnostic) from None

    def is_file(self, path: Path) -> bool:
        """See `flowrunner.options.Context.is_file`."""
        try:
            self.read(path)
        except (OSError, ValueError):
            return False
        return True

    def read_called(self, name: Scalar) -> Called:
        """See `flowrunner.options.Context.read_called`."""
        assert self.calls is not None
        return self.calls.open(name, self.report)

    def read_steps(self, node: Node, place: Place) -> tuple[Step, ...]:
        """See `flowrunner.options.Context.read_steps`; a step that holds a mistake becomes a `BrokenStep`."""
        if isinstance(node, Map):
            raise self.report.refuse(_list_missing(node, place, self.step_types))
        if not isinstance(node, List):
            raise place.refuse(node, "a list of steps", help="put `- ` before each step, below it")
        steps: list[Step] = []
        for item in node.items:
            try:
                steps.append(self.read_step(item))
            except Refused:
                steps.append(BrokenStep(at=Placement(item.span, item.span)))
        return tuple(steps)

    def read_step(self, node: Node) -> Step:
        """One entry of a list of steps."""
        if isinstance(node, Scalar):
            return self.read_bare(node)
        if isinstance(node, List):
            message = "a step must be a word such as `json`, or a map with one step"
            raise self.report.refuse(Diagnostic("wrong-value", message, node.span.first_line(), "this is a list"))
        entry = self.step_entry(node)
        key = entry.key
        kind = self.step_types[key.text]
        place = Place(self, "", key.text, key.span)
        common = self.read_common(node, entry)
        explain = lambda word: self.explain_option(word, key)  # noqa: E731 - one line, used once
        fields = read_short_or_long(kind, entry.value, place, explain)
        return kind(at=Placement(node.span, key.span, **common), **fields)

    def read_bare(self, node: Scalar) -> Step:
        """A step that is only a word."""
        if node.value is None:
            message = "a step is missing behind this `-`"
            raise self.report.refuse(explain_null(node.span) or Diagnostic("missing-step", message, node.span))
        word = node.text
        if word not in self.step_types:
            raise self.report.refuse(self.explain_unknown(node, None))
        fields = read_short_or_long(self.step_types[word], None, Place(self, "", word, node.span), nothing_more)
        return self.step_types[word](at=Placement(node.span, node.span), **fields)

    def step_entry(self, node: Map) -> Entry:
        """The one entry whose key is a step. Raises Refused where there is none, or more than one."""
        found = [entry for entry in node if entry.key.text in self.step_types]
        strangers = [
            entry for entry in node if entry.key.text not in self.step_types and entry.key.text not in COMMON_KEYS
        ]
        if not found:
            raise self.report.refuse(self.explain_none(node, strangers))
        step, *more = found
        for other in [*more, *strangers]:
            self.report.add(self.explain_beside(other.key, step))
        if more or strangers:
            raise Refused
        return step

    def explain_none(self, node: Map, strangers: list[Entry]) -> Diagnostic:
        """Why an entry holds no step."""
        if strangers:
            return self.explain_unknown(strangers[0].key, strangers[0].value)
        if explained := explain_map_for_text(node):
            return explained
        key = node.entries[0].key if node.entries else None
        span = key.span if key else node.span.first_line()
        return Diagnostic("missing-step", "here stands no step, only what goes beside one", span)

    def explain_unknown(self, key: Scalar, value: Node | None) -> Diagnostic:
        """A word that is no step: our word for it, or the nearest one."""
        word = key.text
        message = f"there is no step `{word}`"
        if ours := our_word(word, self.step_types):
            help = f"flowrunner calls it `{ours}`: `{example_of(ours)}`"
        elif value is None and ":" in word and (first := word.partition(":")[0]) in self.step_types:
            help = f"write `- {first}: {word.partition(':')[2]}`"
            return Diagnostic("missing-space", "a space must follow the colon", key.span, helps=(help,))
        elif value is None and word.partition(" ")[0] in self.step_types:
            first, _, rest = word.partition(" ")
            help = f"put a colon behind the step: `- {first}: {rest}`"
        elif near := suggest(word, self.step_types):
            help = f"did you mean `{near}`?"
        else:
            help = f"steps are {name_list(sorted(self.step_types), most=30)}"
        elsewhere = word if word in SOURCES else FLOW_WORDS.get(word, "")
        if elsewhere in SOURCES and not our_word(word, self.step_types):
            message, help = f"`{word}` is no step", f"`{elsewhere}` stands at the top of the flow, beside `steps`"
        return Diagnostic("unknown-step", message, key.span, helps=(help,))

    def explain_beside(self, key: Scalar, step: Entry) -> Diagnostic:
        """A key beside a step that does not belong there."""
        owner = step.key.text
        options = [option.name for option in self.step_types[owner].options()]
        is_empty = isinstance(step.value, Scalar) and step.value.value is None
        if key.text in options:
            label = "this step has no options" if is_empty else "in this step"
            message = f"`{key.text}` belongs inside `{owner}` and needs more indentation"
            helps = (
                ("indent by two more spaces",) if is_empty else (_long_form(step, key.text, self.step_types[owner]),)
            )
            return Diagnostic(
                "under-indented",
                message,
                key.span,
                helps[0] if is_empty else "",
                (Label(step.key.span, label),),
                () if is_empty else helps,
            )
        if key.text in self.step_types:
            message = f"`{owner}` and `{key.text}` are two steps: each needs a `- ` of its own"
            labels = (Label(step.key.span, "the first step"),)
            return Diagnostic("two-steps", message, key.span, "", labels, (f"begin this line with `- {key.text}:`",))
        near = suggest(key.text, [*COMMON_KEYS, *options])
        help = f"did you mean `{near}`?" if near else f"beside a step stand {name_list(list(COMMON_KEYS))}"
        if near in options:
            help += " it belongs inside the step, indented"
        message = f"`{key.text}` does not belong beside `{owner}`"
        return Diagnostic(
            "unknown-key", message, key.span, labels=(Label(step.key.span, "in this step"),), helps=(help,)
        )

    def explain_option(self, key: Scalar, step: Scalar) -> Diagnostic | None:
        """A key inside a step that belongs beside it, or is a step itself."""
        labels = (Label(step.span, "inside this step"),)
        if key.text in COMMON_KEYS:
            message = f"`{key.text}` belongs beside `{step.text}` and needs less indentation"
            return Diagnostic("over-indented", message, key.span, f"align it with `{step.text}`", labels)
        if key.text in self.step_types:
            message = f"`{key.text}` is a step of its own, not an option of `{step.text}`"
            help = f"put it into the list: `- {key.text}`, as far to the left as `- {step.text}`"
            return Diagnostic("over-indented", message, key.span, "", labels, (help,))
        return None

    def read_common(self, node: Map, step: Entry) -> dict[str, Any]:
        """The keys beside the step's own."""
        common: dict[str, Any] = {}
        place = Place(self, "", step.key.text, step.key.span)
        kinds = {"id": Text("a name"), "when": ExpressionKind(), "on_error": OnError()}
        for name, kind in kinds.items():
            if entry := node.get(name):
                common[name] = kind.read(entry.value, place.inside(name))
        return common


def _long_form(step: Entry, option: str, kind: type[Step]) -> str:
    main = next((found.name for found in kind.options() if found.is_main), "")
    value = step.value.span.first_line().text
    return f"write the long form: `{step.key.text}: {{{main}: {value}, {option}: ...}}`"


def _list_missing(node: Map, place: Place, steps: Mapping[str, type[Step]]) -> Diagnostic:
    first = node.entries[0].key if node.entries else None
    help = (
        f"put `- ` before each step: `- {first.text}: ...`"
        if first and first.text in steps
        else "put `- ` before each step"
    )
    span = first.span if first else node.span.first_line()
    return Diagnostic("steps-not-a-list", f"{place.subject} must be a list", span, "a map begins here", helps=(help,))
