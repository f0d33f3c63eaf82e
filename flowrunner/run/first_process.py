"""Turns the first process of a container into one that passes signals on and buries what others leave behind.

The system gives process 1 no default for signals, and makes it the parent of every process whose own has gone.
"""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def stay_behind_if_first(process: int | None = None) -> None:
    """As process 1, go on in a child and look after it until it ends; anywhere else, do nothing.

    The child has a process group of its own: Ctrl-C reaches it once, through us.
    """
    if (os.getpid() if process is None else process) != 1:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # one that comes now waits until it can be passed on
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.setpgid(0, 0)
        return
    _look_after(child, before)


def _look_after(child: int, mask: Iterable[int]) -> None:
    def pass_on(number: int, _frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, number)

    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            os._exit(0)
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
