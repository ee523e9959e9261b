"""Is there a plain file at this path, and is it small enough to read whole? The way to files that others wrote.

A pipe would be waited for, a device has no end, and a file of a terabyte may take no room on its disk: each is refused
before a byte of it is read. What is refused is an OSError, which every reader turns into its own error.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_plain(path: Path, *, follow_link: bool) -> io.BufferedReader:
    """Open a regular file for reading, whatever was put there since somebody looked.

    Args:
        follow_link: whether `path` itself may be a link. It may where a person names one file; not where it was found.
    Raises:
        FileNotFoundError: nothing is there.
        OSError: it is something else, or cannot be read; `strerror` says what in words.
    """
    # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", *(() if follow_link else ("O_NOFOLLOW",))):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
    except ValueError:
        raise OSError(errno.EINVAL, "its name has a NUL", str(path)) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = KINDS.get(stat.S_IFMT(mode), "a special file")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))
    return open(descriptor, "rb")  # noqa: PTH123 - there is no Path, only a descriptor


def read_plain(path: Path, *, most_bytes: int, follow_link: bool) -> bytes:
    """The bytes of a regular file that has no more than `most_bytes` of them.

    Raises:
        FileNotFoundError, OSError: as `open_plain`; also where it is larger.
    """
    with open_plain(path, follow_link=follow_link) as file:
        # The size is asked first, so that nothing is read of a file that is far too large; it may still grow.
        if os.fstat(file.fileno()).st_size > most_bytes or len(content := file.read(most_bytes + 1)) > most_bytes:
            raise OSError(errno.EFBIG, f"it has more than {most_bytes:,} bytes", str(path))
    return content


WRITING = ".writing"


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a neighbour, sync, rename: a reader sees the old file, the new one, or none."""
    with atomic_stream(path) as stream:
        stream.write(content)


@contextlib.contextmanager
def atomic_stream(path: Path) -> Iterator[IO[bytes]]:
    """As `write_atomically`, for content that is not to be held in memory a second time."""
    neighbour = path.with_name(path.name + WRITING)
    try:
        with neighbour.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        neighbour.replace(path)
    except Exception:
        with contextlib.suppress(OSError):  # what fits on no disk must not fill the rest of it
            neighbour.unlink()
        raise
