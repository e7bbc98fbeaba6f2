"""Reading what somebody else has packed: the files of a zip, of a tar, or of a folder."""

import bz2
import gzip
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Self, cast

from lookright.errors import UserError
from lookright.files import regular
from lookright.untrusted import LARGEST

UNPACKED: Final = 2**37
"""Bytes that all files of an archive may have together."""

_HEADERS: Final = 2**20
"""Bytes of a long name, or of the other extensions of a tar's header."""

_EXTENSIONS: Final = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")

_OTHERS: Final = {b"Rar!\x1a\x07": "RAR", b"7z\xbc\xaf\x27\x1c": "7z", b"\x28\xb5\x2f\xfd": "zstd"}

_PACKED: Final[dict[bytes, Callable[[IO[bytes]], Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}

_DAMAGED: Final = (
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
)


@dataclass(frozen=True)
class Member:
    """A file of an archive; `read` gives its content, before the next member is asked for.

    at: bytes of the archive up to it, as a measure of progress.
    """

    path: PurePosixPath
    size: int
    at: int
    read: Callable[[], bytes]


def members(path: Path) -> Iterator[Member]:
    """The files in a zip, in a tar (plain, or packed by gzip, bzip2 or xz), or below a folder.

    The content decides which it is, not the name. Folders are left out.

    Raises:
        UserError: there is no such file, it is of another kind, locked, damaged or ends early; a
            name in it leads out of it; it holds a link, a device, a file of more than LARGEST
            bytes, or more than UNPACKED in all. Also where a member is read.
    """
    if not path.exists():
        raise UserError(f"Expected an archive, or a folder, at '{path}', which does not exist.")
    found = _members(path)
    while True:
        with _damage_told(path):
            member = next(found, None)
        if member is None:
            return
        yield replace(member, read=partial(_read, path, member))


def contents(path: Path, suffix: str) -> Iterator[bytes]:
    """The content of each file of that suffix in an archive or folder, or of `path` if it is one.

    Raises:
        UserError: those of `members`.
    """
    if path.suffix.lower() == suffix and path.is_file():
        with _damage_told(path):
            _check_size(regular(path).stat().st_size, LARGEST, f"'{path}'")
            yield path.read_bytes()
        return
    for member in members(path):
        if member.path.suffix.lower() == suffix and not member.path.name.startswith("."):
            yield member.read()


def _read(path: Path, member: Member) -> bytes:
    with _damage_told(path):
        return member.read()


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise UserError(
            f"Expected a whole archive at '{path}'; it is damaged or ends early "
            f"({' '.join(str(error).split()) or type(error).__name__}): download it again."
        ) from error


def _members(path: Path) -> Iterator[Member]:
    if path.is_dir():
        yield from _in_folder(path)
        return
    with regular(path).open("rb") as file:
        start = file.read(512)
        file.seek(0)
        _require_kind(path, start)
        if start.startswith(_ZIP):
            with zipfile.ZipFile(file) as packed:
                yield from _in_zip(packed, path)
            return
        unpack = next((each for magic, each in _PACKED.items() if start.startswith(magic)), None)
        yield from _in_tar(file, unpack(file) if unpack else file)


def _require_kind(path: Path, start: bytes) -> None:
    """Raise UserError for a kind of file that is known not to be readable."""
    for magic, kind in _OTHERS.items():
        if start.startswith(magic):
            raise UserError(
                f"Expected a zip or tar at '{path}'; it is a {kind} archive: unpack it with a "
                "program for that, and name the folder."
            )
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise UserError(
            f"Expected a zip or tar at '{path}'; it is a web page, as some servers send instead of "
            "a file: download the archive with a browser."
        )


def _in_folder(root: Path) -> Iterator[Member]:
    number = 0
    for folder, folders, names in os.walk(root):
        folders.sort()
        for path in (Path(folder, name) for name in sorted(names)):
            if path.is_file():
                number += 1
                inner = PurePosixPath(path.relative_to(root).as_posix())
                yield Member(inner, path.stat().st_size, number, path.read_bytes)


def _in_zip(packed: zipfile.ZipFile, path: Path) -> Iterator[Member]:
    found = packed.infolist()
    for each in found:
        _inner(each.filename)
    _check_size(sum(each.file_size for each in found), UNPACKED, "all its files")
    at = 0
    for each in found:
        at += each.compress_size
        if each.is_dir():
            continue
        if stat.S_IFMT(each.external_attr >> 16) not in (0, stat.S_IFREG):
            raise _no_file(each.filename)
        if each.flag_bits & 1:
            raise UserError(
                f"Expected files to read in '{path}'; '{each.filename}' is locked by a "
                "password: unpack it yourself, and name the folder."
            )
        _check_size(each.file_size, LARGEST, f"'{each.filename}'")

        def read(each: zipfile.ZipInfo = each) -> bytes:
            with packed.open(each) as file:
                return file.read(LARGEST)

        yield Member(_inner(each.filename), each.file_size, at, read)


class _Header(tarfile.TarInfo):
    """A header that is looked at before what it announces is read into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if found.type in _EXTENSIONS:
            _check_size(found.size, _HEADERS, "a header")
        return found


class _Ending:
    """A stream that remembers its last bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.end = file, b""

    def read(self, size: int) -> bytes:
        content = self.file.read(size)
        self.end = (self.end + content)[-tarfile.BLOCKSIZE :]
        return content


def _in_tar(file: IO[bytes], unpacked: IO[bytes]) -> Iterator[Member]:
    """Each member is read as it passes by; the end of the archive is told by a block of zeros."""
    stream, total = _Ending(unpacked), 0
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", tarinfo=_Header) as packed:
        for each in packed:
            inner = _inner(each.name)
            if each.isdir():
                continue
            if not each.isfile():
                raise _no_file(each.name)
            _check_size(each.size, LARGEST, f"'{each.name}'")
            total += each.size
            _check_size(total, UNPACKED, "all its files")

            def read(each: tarfile.TarInfo = each) -> bytes:
                content = packed.extractfile(each)
                return content.read() if content else b""

            yield Member(inner, each.size, file.tell(), read)
        while stream.read(2**20):
            pass
    if len(stream.end) < tarfile.BLOCKSIZE or any(stream.end):
        raise EOFError("its end is missing")


def _inner(name: str) -> PurePosixPath:
    """The path of a member, of which no part leads upwards."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name) or "\0" in name:
        raise UserError(
            f"The archive holds '{name}', a name that leads out of it, and nothing more of it is "
            "unpacked: take the archive from its official source."
        )
    return path


def _no_file(name: str) -> UserError:
    return UserError(
        f"The archive holds '{name}', which is a link or a device and no file, and nothing more of "
        "it is unpacked: take the archive from its official source."
    )


def _check_size(size: int, largest: int, what: str) -> None:
    if size > largest:
        raise UserError(
            f"The archive would unpack to more than {largest >> 20} MiB ({what}), and nothing more "
            "of it is unpacked: take the archive from its official source."
        )
