"""Turns nodes that have no translation into stubs that say so when a message comes."""

from flowrunner.nodered.known import Known
from flowrunner.nodered.layout import Step, Steps
from flowrunner.nodered.values import Code, Constant
from flowrunner.nodered.walk import Way

_IDLE = {"comment", "catch", "status", "complete", "mqtt in", "inject", "http in", "unknown"}


def stub(way: Way, known: Known) -> Steps:
    """A function to write in Python; at an end only a line in the log, for nobody waits there."""
    node = way.node
    why = known.names.get("__why", Constant(""))
    reason = str(why.value) if isinstance(why, Constant) else ""
    known = known.without("__why")
    word = f"{node.type} {node.name}".strip()
    settled, known = known.settled()
    if not any(way.walk.targets(way.target, port) for port in range(len(node.wires))) and not node.text("func"):
        way.not_done(reason or f"there is no step for `{node.type}`")
        text = f"to do: {word} got a message here".replace("${", "$${")
        return [*settled, *way.named([Step("log", {"text": text, "level": "warning"})])]
    outputs = max(len(node.wires), 1)
    function = way.flow.stubs.add_to_do(node, reason or f"there is no step for {node.type}", outputs)
    what = "JavaScript with " if node.type == "function" and reason.startswith("`") else ""
    way.not_done(f"{f'not translated: {what}{reason}' if reason else 'there is no step for this'}; write {function}")
    steps = [*settled, *way.named([Step("python", function, notes=[f"to do: {word}"])])]
    if outputs == 1:
        return [*steps, *way.on(0, known.replaced("any"))]
    return [*steps, *_outputs(way, known.replaced("any"), outputs)]


def _outputs(way: Way, known: Known, outputs: int) -> Steps:
    """A branch for each output that leads somewhere; see `Stubs.add_to_do`."""
    cases: list[dict[str, object]] = []
    for port in range(min(outputs, 100)):
        if steps := way.deeper().on(port, known):
            first = Step("map", Code("payload.payload"))
            cases.append({"when": Code(f"payload.output == {port}"), "steps": [first, *steps]})
    return [Step("switch", cases)] if cases else []


TRANSLATORS = {"stub": stub}
