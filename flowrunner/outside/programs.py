"""Turns an argument list and bytes into what a program of this machine makes of them, within bounds."""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from flowrunner.errors import StepError

#: Bytes of what a program says in anger that are kept, and characters of it that an error shows.
_MOST_ANGER = 4_096
_MOST_SHOWN = 200

#: Seconds until the end of a program that was killed is no longer waited for.
_LAST_BREATH = 2.0


async def run_program(arguments: Sequence[str], given: bytes, *, folder: str, seconds: float, most: int) -> bytes:
    """What a program writes to its standard output; `given` is what it reads from its standard input.

    There is no shell. The program leads a process group of its own, and the whole group is killed when it takes longer
    than `seconds`, writes more than `most` bytes, or is not wanted any more. Raises StepError for all that goes wrong.
    """
    name = arguments[0]
    loop = asyncio.get_running_loop()
    try:
        transport, program = await loop.subprocess_exec(
            lambda: _Program(most), *arguments, cwd=folder, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise _not_started(name, error) from None
    try:
        stdin = transport.get_pipe_transport(0)
        assert isinstance(stdin, asyncio.WriteTransport)
        stdin.write(given)
        stdin.write_eof()
        async with asyncio.timeout(seconds):
            await program.finished
    except TimeoutError:
        message = f"`{name}` took longer than {seconds:g} s and was ended"
        raise StepError(message, code="timed-out", help="give it more with `timeout`") from None
    finally:
        await _end(transport, program)
    return _result(name, program, transport.get_returncode(), most)


class _Program(asyncio.SubprocessProtocol):
    """Gathers what a program writes. `finished` is done when it has ended and closed its outputs, or wrote too much."""

    def __init__(self, most: int) -> None:
        loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = loop.create_future()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.most = most
        self.output = bytearray()
        self.anger = bytearray()
        self.is_closed = False

    @property
    def is_too_much(self) -> bool:
        """Whether it wrote more than it may."""
        return len(self.output) > self.most

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Standard output counts; of standard error the beginning is kept."""
        if fd == 1:
            self.output += data[: self.most + 1 - len(self.output)]
            if self.is_too_much:
                self.finish()
        else:
            self.anger += data[: max(0, _MOST_ANGER - len(self.anger))]

    def process_exited(self) -> None:
        """The program has ended; something that it has started may still write."""
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, and all pipes are closed."""
        del exc
        self.is_closed = True
        self.finish()

    def finish(self) -> None:
        """Wake who waits."""
        if not self.finished.done():
            self.finished.set_result(None)


async def _end(transport: asyncio.SubprocessTransport, program: _Program) -> None:
    """Kill what is left of the group, and close the pipes."""
    if not program.is_closed:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_BREATH):
                await asyncio.shield(program.exited)
    transport.close()


def _result(name: str, program: _Program, code: int | None, most: int) -> bytes:
    if program.is_too_much:
        help = "raise `max_output`, or have the program write less"
        raise StepError(f"`{name}` wrote more than {most} bytes and was ended", code="answer-too-large", help=help)
    if code != 0:
        how = f"ended with exit code {code}" if code is None or code > 0 else f"was ended by {_signal_name(-code)}"
        raise StepError(f"`{name}` {how}{_said(program.anger)}", code="program-failed")
    return bytes(program.output)


def _said(anger: bytearray) -> str:
    text = anger.decode("utf-8", "backslashreplace").strip()
    first = text.splitlines()[0] if text else ""
    return f": {first[:_MOST_SHOWN]}" if first else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _not_started(name: str, error: OSError | ValueError) -> StepError:
    help = ""
    if isinstance(error, FileNotFoundError):
        reason = f"there is no program `{name}`"
        help = "a program beside the flow is called `./name`" if "/" not in name else ""
    elif isinstance(error, PermissionError):
        reason, help = f"`{name}` may not be run", f"make it executable: `chmod +x {name}`"
    elif isinstance(error, OSError):
        reason = f"`{name}` cannot be run: {(error.strerror or str(error)).lower()}"
        help = "a script begins with a line such as `#!/bin/sh`" if error.errno == 8 else ""
    else:
        reason = f"`{name}` cannot be run: {error}"
    return StepError(reason, code="program-failed", help=help)
