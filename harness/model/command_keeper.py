"""Keeps a command: starts it in a process group of its own, within limits, and ends all of it when nobody asks more.

Run as a script by harness/model/child.py, isolated and without the site packages; it knows nothing of this project.
The command has standard input, output and error of this process. Whoever started it holds the other end of a pipe: when
that is closed, by a call or because its holder was killed, the command and every process that it started are killed.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time

# Of Linux's prctl: a process gets a signal when the one that started it ends; orphans below become its children.
DEATH_SIGNAL, SUBREAPER = 1, 36
MOST_SECONDS_OF_KILLING = 5.0


def main() -> None:
    request = json.loads(sys.argv[1])
    control, status = request["control"], request["status"]

    def say(**what: object) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            os.write(status, json.dumps(what).encode() + b"\n")

    woken, waker = os.pipe()
    for end in (woken, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that the end of the command wakes the wait below
    bounded = _bound(request["memory_bytes"])
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    try:
        # A command may kill this process. Then it ends too, and who started both ends its group.
        command = subprocess.Popen(request["command"], start_new_session=True, preexec_fn=_end_with_its_keeper)
    except OSError as error:
        say(refused=f"{error.strerror or error}")
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    for end in (0, 1, 2):  # the command's alone, so that their end is seen when it ends
        os.dup2(nothing, end)
    say(group=command.pid, memory_bound=bounded)
    while command.poll() is None:
        ready, _, _ = select.select([control, woken], [], [])
        if control in ready:
            break
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)
    _kill_all(command)
    say(ended=command.returncode)


def _end_with_its_keeper() -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _bound(n_bytes: int) -> bool:
    """Bound the address space of what is started from here; whether this system does it."""
    try:
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = n_bytes if most == resource.RLIM_INFINITY else min(n_bytes, most)
        resource.setrlimit(resource.RLIMIT_AS, (wanted, wanted))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):  # macOS knows the limit, and refuses it
        return False
    return sys.platform.startswith("linux")


def _kill_all(command: "subprocess.Popen[bytes]") -> None:
    """The group, and what left the group: orphans are this process's children where the system has subreapers."""
    until = time.monotonic() + MOST_SECONDS_OF_KILLING
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            os.killpg(command.pid, signal.SIGKILL)
        command.poll()
        for pid in _children():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            if pid != command.pid:
                with contextlib.suppress(OSError):
                    os.waitpid(pid, os.WNOHANG)
        if command.returncode is not None and not _children():
            return
        time.sleep(0.01)


def _children() -> list[int]:
    """Process ids of the children of this process, where the system lists them."""
    own, found = str(os.getpid()), []
    try:
        listed = [name for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208  (pathlib starts slowly)
    except OSError:
        return []
    for name in listed:
        with contextlib.suppress(OSError, IndexError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
            # pid (name) state ppid: the name may hold blanks and brackets, so count from its end.
            if file.read().rpartition(b")")[2].split()[1].decode() == own:
                found.append(int(name))
    return found


main()
