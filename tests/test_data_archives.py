"""Archives from strangers: nothing of them leads elsewhere, and what is wrong is one line."""

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookright.data import archives
from lookright.data.archives import contents, members
from lookright.errors import UserError

FILES = {"a/one.txt": b"one", "a/b/two.txt": b"two" * 1000, "three.json": b"{}"}


def zipped(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/", b"")
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def tarred(path, files=FILES, mode="w", **header):
    with tarfile.open(path, mode) as packed:
        folder = tarfile.TarInfo("a")
        folder.type = tarfile.DIRTYPE
        packed.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in header.items():
                setattr(info, key, value)
            packed.addfile(info, io.BytesIO(content))
    return path


def laid_out(path, files=FILES):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


KINDS = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda path: tarred(path, mode="w:gz"),
    "tar.bz2": lambda path: tarred(path, mode="w:bz2"),
    "tar.xz": lambda path: tarred(path, mode="w:xz"),
    "folder": laid_out,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_its_files_whatever_it_is_called(kind, tmp_path):
    path = KINDS[kind](tmp_path / "called.anything")
    found = {str(each.path): (each.size, each.read()) for each in members(path)}
    assert found == {name: (len(content), content) for name, content in FILES.items()}
    assert [*contents(path, ".json")] == [b"{}"]


def test_a_document_is_read_by_itself_as_well(tmp_path):
    (tmp_path / "x.json").write_bytes(b"[]")
    assert [*contents(tmp_path / "x.json", ".json")] == [b"[]"]


def read_all(path):
    return [each.read() for each in members(path)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "folder"])
def test_an_archive_that_ends_early_is_told_wherever_it_ends(kind, tmp_path):
    noise = {f"{at}.bin": bytes((at * 37 + i * i) % 251 for i in range(3000)) for at in range(4)}
    make = {"zip": zipped, "tar": tarred}.get(kind)
    path = tmp_path / "whole"
    make(path, noise) if make else tarred(path, noise, mode=f"w:{kind[4:]}")
    whole = path.read_bytes()
    if kind == "tar":  # up to its end, after which there are only more zeros
        whole = whole.rstrip(b"\0")
    for length in (*range(0, len(whole), 509), len(whole) - 5, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="download it again"):
            read_all(path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_bytes_that_were_changed_are_told_or_give_other_names(kind, tmp_path):
    path = KINDS[kind](tmp_path / "damaged")
    content = bytearray(path.read_bytes())
    at = content.index(b"two") if kind == "zip" and b"two" in content else len(content) // 2
    content[at : at + 8] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged|leads out"):
        read_all(path)


OUTSIDE = ("../x", "a/../../x", "/etc/passwd", "C:/x", "c:x", "..\\x", "a\\..\\..\\x", "\\x", "..")


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("make", [zipped, tarred], ids=["zip", "tar"])
def test_names_that_lead_out_are_refused(make, name, tmp_path):
    path = make(tmp_path / "hostile", {name: b"x"})
    with pytest.raises(UserError, match="leads out of it"):
        read_all(path)


LINKS = {
    "symbolic": tarfile.SYMTYPE,
    "hard": tarfile.LNKTYPE,
    "device": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "pipe": tarfile.FIFOTYPE,
}


@pytest.mark.parametrize("kind", LINKS)
def test_links_and_devices_in_a_tar_are_refused(kind, tmp_path):
    path = tarred(tmp_path / "x.tar", {"a/x.jpg": b""}, type=LINKS[kind], linkname="/etc/passwd")
    with pytest.raises(UserError, match="a link or a device"):
        read_all(path)


def test_links_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("a/x.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="a link or a device"):
        read_all(tmp_path / "x.zip")


@pytest.mark.parametrize("make", [zipped, tarred], ids=["zip", "tar"])
def test_bombs_are_refused_before_they_unpack(make, tmp_path, monkeypatch):
    path = make(tmp_path / "bomb", {"a": bytes(3000), "b": bytes(3000)})
    for name, most in (("LARGEST", 2000), ("UNPACKED", 5000)):
        with monkeypatch.context() as patch:
            patch.setattr(archives, name, most)
            with pytest.raises(UserError, match="would unpack to more"):
                read_all(path)
    assert len(read_all(path)) == 2


def test_a_header_that_asks_for_memory_is_refused(tmp_path):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**40
    (tmp_path / "x.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(UserError, match="would unpack to more"):
        read_all(tmp_path / "x.tar")


OTHERS = {
    "rar": (b"Rar!\x1a\x07\x01\0" + bytes(600), "RAR archive: unpack it"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(600), "7z archive: unpack it"),
    "page": (b"\n<!DOCTYPE html><html>Quota exceeded</html>", "a web page"),
    "text": (b"hello " * 100, "download it again"),
    "nothing": (b"", "download it again"),
    "zip without an end": (b"PK\x03\x04" + bytes(600), "download it again"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_refused_with_the_way_out(kind, tmp_path):
    content, said = OTHERS[kind]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_all(tmp_path / "x")


def test_a_missing_archive_is_told(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_all(tmp_path / "x.zip")


def test_a_locked_zip_is_told(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a.jpg": b"x"})
    content = bytearray(path.read_bytes())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.rindex(start) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="locked by a password"):
        read_all(path)


@pytest.mark.parametrize("unpack", [gzip, bz2, lzma], ids=["gz", "bz2", "xz"])
def test_a_packed_file_that_is_no_tar_is_told(unpack, tmp_path):
    (tmp_path / "x").write_bytes(unpack.compress(b"hello " * 300))
    with pytest.raises(UserError, match="download it again"):
        read_all(tmp_path / "x")


PARTS = st.sampled_from(["..", ".", "", "a", "/", "\\", "C:", "x.jpg", "~", " ", "é", "\n"])


@given(st.lists(PARTS, min_size=1, max_size=6).map("/".join))
def test_no_name_leads_out(name):
    folder = Path("/a/b")
    try:
        inner = archives._inner(name)
    except UserError:
        return
    joined = os.path.normpath(folder / inner)
    assert joined == str(folder) or joined.startswith(f"{folder}/")
    assert "\\" not in str(inner)
    assert ".." not in inner.parts


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_told(content):
    with NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        with suppress(UserError):
            read_all(Path(file.name))
