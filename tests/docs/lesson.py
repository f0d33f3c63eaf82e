"""Turns a page of the tutorial into a lesson that is given: its files are saved, its commands typed, its outputs seen.

A page says what to do in three kinds of block: `{terminal} N` (commands behind `$`, `^C`, and what they print),
`{code-block}` with a caption (a file that the attendee saves) and `{literalinclude}` with a caption (a file of docs/).
"""

import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from select import select

from tests.docs.markdown import ROOT
from tests.mosquitto import free_port

PATIENCE = 20.0
PROMPT = "\x01"
#: What the programs of a lesson print, unseen, when the broker has granted a subscription: the next one may publish.
HEARS = "\x02"
_LISTENERS = ("mosquitto_sub ", "flowrunner run", "python ", "micropython ")

_BLOCK = re.compile(
    r"^(?P<fence>`{3,})\{(?P<kind>terminal|code-block|literalinclude)\} ?(?P<argument>[^\n]*)\n"
    r"(?P<body>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_OPTION = re.compile(r"^:(?P<name>[a-z-]+):[ ]*(?P<value>.*)\n", re.MULTILINE)
_CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
#: What is another one each time: `...` is anything, the rest is of the same form.
_VARIES = re.compile(r"\.\.\.|\d+(?::\d\d)+|\d+\.\d+\.\d+|\b\d{10}\b|\b\d+(?:\.\d+)? ?m?s\b")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page: `kind`, what stands behind it, its options, and its text; `line` is where it stands."""

    kind: str
    argument: str
    options: Mapping[str, str]
    text: str
    line: int


def blocks_of(page: str) -> Iterator[Block]:
    """The blocks of a page that tell somebody to do something."""
    for found in _BLOCK.finditer(page):
        body, options = found["body"], {}
        while option := _OPTION.match(body):
            options[option["name"]] = option["value"].strip()
            body = body[option.end() :]
        line = page.count("\n", 0, found.start()) + 1
        yield Block(found["kind"], found["argument"].strip(), options, body.lstrip("\n"), line)


class Ports:
    """The ports of a lesson, such as 1883, each led to a free one of this machine."""

    def __init__(self, *wanted: int) -> None:
        self.real = {port: free_port() for port in wanted}

    def hide(self, text: str) -> str:
        """The text as it would be on the attendee's machine."""
        for port, real in self.real.items():
            text = text.replace(str(real), str(port))
        return text


class Desk:
    """What an attendee sits at: a folder, programs, and terminals that are opened when they are needed."""

    def __init__(self, folder: Path, ports: Ports) -> None:
        self.folder = folder
        self.ports = ports
        self._terminals: dict[str, Terminal] = {}
        self._environment = prepare(folder.parent / "programs", ports)

    def terminal(self, name: str) -> "Terminal":
        """The terminal with this number; a new one where there is none."""
        if name not in self._terminals:
            self._terminals[name] = Terminal(name, self.folder, self._environment, self.ports)
        return self._terminals[name]

    def clear(self) -> None:
        """Close all terminals."""
        for terminal in self._terminals.values():
            terminal.close()
        self._terminals.clear()

    def give(self, page: Path) -> None:
        """Do all that the page says; raises AssertionError that names the line of the page."""
        for block in blocks_of(page.read_text(encoding="utf-8")):
            try:
                self._do(block, page)
            except AssertionError as error:
                raise AssertionError(f"{page.name}:{block.line}: {error}") from None

    def _do(self, block: Block, page: Path) -> None:
        if block.kind == "terminal":
            self.terminal(block.argument).show(block.text)
        elif caption := block.options.get("caption"):
            file = self.folder / caption
            file.parent.mkdir(parents=True, exist_ok=True)
            is_included = block.kind == "literalinclude"
            text = (page.parent / block.argument).read_text(encoding="utf-8") if is_included else block.text
            file.write_text(text, encoding="utf-8")


class Terminal:
    """A shell in a terminal of its own."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str], ports: Ports) -> None:
        self.name = name
        self._ports = ports
        self._side, inner = pty.openpty()
        self._shell = subprocess.Popen(
            ["/bin/bash", "--norc", "--noediting", "-i"],
            stdin=inner, stdout=inner, stderr=inner, cwd=folder, env=dict(environment), start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509 - no other thread is there
        )  # fmt: skip
        os.close(inner)
        self._seen = ""  # what was printed and no block has shown yet
        self._wait_for(lambda: self._seen.endswith(PROMPT), "the shell does not start")
        self._type("stty -echo -onlcr")
        self._wait_for(lambda: self._seen.count(PROMPT) == 2, "the shell does not start")
        self._seen = PROMPT

    def show(self, text: str) -> None:
        """Type what stands behind `$`, and wait until the terminal shows the rest."""
        expected: list[str] = []
        command: list[str] = []
        for line in [*text.rstrip("\n").split("\n"), "$"]:
            if command and command[-1].endswith("\\"):
                command.append(line.removeprefix("> "))
            elif line == "^C" or line.startswith("$"):
                if command or expected:
                    self._run("\n".join(command), expected)
                expected, command = [], [line.removeprefix("$").strip()] if line != "$" else []
                if line == "^C":
                    os.killpg(os.tcgetpgrp(self._side), signal.SIGINT)
                    command = []
            else:
                expected.append(line)

    def _run(self, command: str, expected: list[str]) -> None:
        if command:
            self._wait_for(self._is_done, f"terminal {self.name} is still busy before `{command}`")
            left = self._seen.removesuffix(PROMPT).strip()
            assert not left, f"terminal {self.name} shows what the page does not:\n{left}"
            self._seen = ""
            self._type(command)
        pattern = re.compile(pattern_of(expected))
        complaint = f"terminal {self.name} should show\n" + "\n".join(expected)
        self._wait_for(lambda: self._is_done() or pattern.match(self._shown()) is not None, complaint)
        assert pattern.match(self._shown()), f"{complaint}\nbut it shows\n{self._shown()}"  # no more will come
        if command.startswith(_LISTENERS):
            self._wait_for(lambda: HEARS in self._seen or self._is_done(), f"`{command}` does not subscribe")
        found = pattern.match(self._shown())
        assert found is not None
        self._seen = self._shown()[found.end() :]

    def _is_done(self) -> bool:
        return self._seen.endswith(PROMPT)

    def _shown(self) -> str:
        text = _CODES.sub("", self._ports.hide(self._seen)).replace(HEARS, "").replace("\r\n", "\n").replace("\r", "\n")
        return re.sub(rf"[ \t]+(?=\n|{PROMPT}|$)", "", text)

    def _type(self, line: str) -> None:
        os.write(self._side, line.encode() + b"\n")

    def _wait_for(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            ready, _, _ = select([self._side], [], [], max(0.0, min(1.0, deadline - time.monotonic())))
            if ready:
                with suppress(OSError):  # the shell has ended
                    self._seen += os.read(self._side, 65_536).decode(errors="replace")
            assert time.monotonic() < deadline, f"{complaint}\nbut it shows\n{self._shown()}"

    def close(self) -> None:
        """End the shell and what runs in it."""
        for group in (os.tcgetpgrp(self._side), self._shell.pid):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        self._shell.wait(PATIENCE)
        os.close(self._side)


def take_terminal() -> None:
    """Make the standard input the terminal of this process, so that Ctrl-C goes to what runs in it."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def pattern_of(lines: list[str]) -> str:
    """What matches these lines at the beginning of an output; what differs from day to day may be anything alike."""
    return r"\n?" + r"\n".join(_pattern_of_line(line.rstrip()) for line in lines) + (r"(?:\n|$)" if lines else "")


def _pattern_of_line(line: str) -> str:
    place, found = 0, ""
    for varies in _VARIES.finditer(line):
        found += re.escape(line[place : varies.start()])
        found += (
            r"(?:.|\n)*?"
            if varies[0] == "..."
            else re.sub(r"\d+(?:\\\.\d+)?(?=(?:\\ )?m?s)|\d+", r"[\\d.]+", re.escape(varies[0]))
        )
        place = varies.end()
    return found + re.escape(line[place:])


def prepare(folder: Path, ports: Ports) -> dict[str, str]:
    """Put programs into a folder that take the ports of the lesson for the free ones; the environment that has them."""
    folder.mkdir(parents=True)
    numbers = " ".join(f"-e 's/\\b{port}\\b/{real}/g'" for port, real in ports.real.items())
    for name in ("mosquitto_pub", "mosquitto_sub"):
        default = f'case " $* " in *" -p "*) ;; *) set -- -p {ports.real[1883]} "$@" ;; esac'
        _program(
            folder / name, [_WITH_PORTS.format(numbers=numbers), default, _TELLING[name].format(program=_real(name))]
        )
    _program(folder / "mosquitto", [
        f"config=$(mktemp); echo 'listener {ports.real[1883]} 127.0.0.1' > $config; echo allow_anonymous true >> $config",
        f'[ "$1" = -c ] && {{ sed {numbers} "$2" > $config; shift 2; }}',
        'echo "user $(id -un)" >> $config',
        f'exec {_real("mosquitto")} -c $config "$@"',
    ])  # fmt: skip
    back = " ".join(f"-e 's/:{real}\\b/:{port}/g'" for port, real in ports.real.items())
    _program(folder / "ss", [f'{_real("ss")} "$@" | sed {back}'])
    _program(folder / "python", [f'exec {shlex.quote(sys.executable)} "$@"'])
    _program(folder / "flowrunner", [f'exec {shlex.quote(sys.executable)} {folder}/patient.py "$@"'])
    (folder / "patient.py").write_text(_PATIENT, encoding="utf-8")
    _program(folder / "curl", [f"exec {shlex.quote(sys.executable)} - \"$@\" <<'EOF'", _CURL, "EOF"])
    _program(folder / "micropython", [f'PYTHONPATH={folder}/micro:$PYTHONPATH exec python "$@"'])
    (folder / "micro" / "umqtt").mkdir(parents=True)
    (folder / "micro" / "umqtt" / "simple.py").write_text(_UMQTT, encoding="utf-8")
    (folder / "sitecustomize.py").write_text(_REDIRECT.format(ports=ports.real), encoding="utf-8")
    own = {
        "HOME": str(folder),
        "TERM": "dumb",
        "PS1": PROMPT,
        "PS2": "",
        "NO_COLOR": "1",
        "COLUMNS": "120",
        "LANG": "C.UTF-8",
    }
    paths = {"PATH": f"{folder}:{os.environ['PATH']}:/usr/sbin", "PYTHONPATH": f"{folder}:{ROOT}"}
    return own | paths | {"PYTHONUNBUFFERED": "1", "TZ": "UTC"}


def _program(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(["#!/bin/bash", *lines, ""]), encoding="utf-8")
    path.chmod(0o755)


def _real(name: str) -> str:
    return shutil.which(name) or f"/usr/sbin/{name}"


_WITH_PORTS = """for argument; do shift; set -- "$@" "$(printf %s "$argument" | sed {numbers})"; done"""

_TELLING = {
    "mosquitto_pub": 'exec {program} "$@"',
    "mosquitto_sub": """stdbuf -oL {program} -d "$@" | sed -u -e 's/^.* received SUBACK$/\\x02/;t tell' \\
        -e '/^Client .* \\(sending\\|received\\) /d; /^Subscribed (mid/d; b; :tell; s/\\n//'""",
}

#: flowrunner, which on a busy machine would show fewer of the last messages after an edit than the page does.
_PATIENT = """
import sys

from flowrunner.cli import main
from flowrunner.run import previews

previews.PATIENCE = 20.0
sys.exit(main())
"""

#: What curl does with an address; the page looks at the port in it, too.
_CURL = """
import sys
from urllib.request import urlopen

from sitecustomize import PORTS

address = sys.argv[-1]
for port, real in PORTS.items():
    address = address.replace(f":{port}/", f":{real}/")
with urlopen(address) as answer:
    print(answer.read().decode())
"""

#: What a page uses of MicroPython's client, by way of paho: a computer without MicroPython can take the lesson, too.
_UMQTT = """
from queue import Empty, SimpleQueue
from threading import Event

from paho.mqtt.client import CallbackAPIVersion, Client


class MQTTClient:
    def __init__(self, client_id, server, port, keepalive):
        self.address = server, port, keepalive
        self.client = Client(CallbackAPIVersion.VERSION2, client_id)
        self.messages, self.granted = SimpleQueue(), Event()
        self.client.on_message = lambda client, userdata, message: self.messages.put(message)
        self.client.on_subscribe = lambda *_: self.granted.set()

    def set_callback(self, callback):
        self.callback = callback

    def set_last_will(self, topic, message, retain=False):
        self.client.will_set(topic.decode(), message, 0, retain)

    def connect(self):
        self.client.connect(*self.address)
        self.client.loop_start()

    def subscribe(self, topic):
        self.client.subscribe(topic.decode())
        self.granted.wait()

    def publish(self, topic, message, retain=False):
        self.client.publish(topic.decode(), message, 0, retain)

    def check_msg(self):
        try:
            message = self.messages.get_nowait()
        except Empty:
            return
        self.callback(message.topic.encode(), message.payload)
"""

_REDIRECT = """
import socket
import sys

PORTS = {ports}


def redirected(call):
    def calls(self, address, *others):
        if isinstance(address, tuple) and address[1] in PORTS:
            address = (address[0], PORTS[address[1]], *address[2:])
        return call(self, address, *others)
    return calls


for name in ("connect", "connect_ex", "bind"):
    setattr(socket.socket, name, redirected(getattr(socket.socket, name)))

from paho.mqtt.client import Client

granted = Client._handle_suback


def tell(self):
    result = granted(self)
    sys.stdout.write(chr(2))
    sys.stdout.flush()
    return result


Client._handle_suback = tell
"""
