"""Turns a message into a line for people: the step `log`."""

from dataclasses import dataclass

from flowrunner.code import Block
from flowrunner.expressions import Template
from flowrunner.options import Choice, TemplateKind, option
from flowrunner.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Log(Step):
    """Show a line in the terminal or the log; the message goes on."""

    KEY = "log"
    EXAMPLES = (
        """
        subscribe: sensors/+room
        steps:
          - json
          - log: ${room} is at ${payload.temperature:.1f} °C
          - log: {text: "look at ${room}", level: warning}
            when: payload.temperature > 30
        tests:
          - given: {topic: sensors/attic, payload: {temperature: 31}}
            expect: []
        """,
    )

    text: Template = option(TemplateKind(), "the line", main=True)
    level: str = option(Choice(("debug", "info", "warning", "error")), "how important it is", default="info")

    def emit(self, to: Block) -> None:
        log = to.bound("log", lambda host: host.log)
        to.run("LOG(flow, LEVEL, TEXT)", LOG=log, LEVEL=to.constant(self.level), TEXT=to.text(self.text))
