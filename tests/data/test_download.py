import contextlib
import gzip
import hashlib
import http.server
import io
import random
import re
import socket
import stat
import tarfile
import threading
import time
import warnings
import zipfile
from typing import ClassVar

import pytest

from weaklesion import download
from weaklesion.data import archives
from weaklesion.data.archives import list_members
from weaklesion.data.manifest import is_archive, read_manifest, write_manifest
from weaklesion.download import extract, fetch, fetch_members, row_of
from weaklesion.errors import DataError

CONTENT = bytes(range(256)) * 5000


def row(url, content=CONTENT, **changes):
    return {
        "name": "data.bin",
        "url": str(url),
        "bytes": str(len(content)),
        "md5": hashlib.md5(content).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
    } | changes


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; the path says how it misbehaves."""

    requests: ClassVar[list] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.requests.append((self.path, wanted, self.headers["User-Agent"]))
        if self.path in ("/403", "/404"):
            self.send_error(int(self.path[1:]))
            return
        start = int(wanted[6:-1]) if wanted and self.path != "/no-ranges" else 0
        body = CONTENT[start:]
        if self.path == "/html":
            body = b"<!DOCTYPE html><html>Forbidden</html>"
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        first = sum(path == self.path for path, _, _ in self.requests) == 1
        breaks_off = self.path == "/breaks-off" and first
        self.wfile.write(body[: len(body) // 2] if breaks_off else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    Handler.requests = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()


def test_http_with_own_user_agent(server, tmp_path):
    assert fetch(row(f"{server}/data"), tmp_path / "data.bin").read_bytes() == CONTENT
    assert Handler.requests[0][2].startswith("WeakLesion/")
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin"]


def test_transfer_that_breaks_off_is_resumed(server, tmp_path):
    fetch(row(f"{server}/breaks-off"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert len(Handler.requests) == 2
    start = int(Handler.requests[1][1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= len(CONTENT) // 2


def test_part_of_an_earlier_call_is_resumed(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    fetch(row(f"{server}/data"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    assert Handler.requests[0][1] == "bytes=1000-"


def test_server_without_ranges_starts_over(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    fetch(row(f"{server}/no-ranges"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("code", ["403", "404"])
def test_refusal_names_file_cause_and_cure(server, tmp_path, code):
    with pytest.raises(DataError, match=rf"data\.bin.*{code}.*data\.bin\.part"):
        fetch(row(f"{server}/{code}"), tmp_path / "data.bin")
    assert len(Handler.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_error_page_with_status_200_is_never_taken_for_data(server, tmp_path):
    unknown_size = row(f"{server}/html", bytes="")
    with pytest.raises(DataError, match="HTML page"):
        fetch(unknown_size, tmp_path / "data.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["md5", "sha256"])
def test_wrong_checksum_leaves_nothing(server, tmp_path, key):
    wrong = row(f"{server}/data", **{key: "0" * 32})
    with pytest.raises(DataError, match=f"its {key} is"):
        fetch(wrong, tmp_path / "data.bin")
    assert list(tmp_path.iterdir()) == []


def test_first_digits_of_a_checksum_suffice(server, tmp_path):
    digits = hashlib.sha256(CONTENT).hexdigest()[:8]
    fetch(row(f"{server}/data", md5="", sha256=digits), tmp_path / "data.bin")


@pytest.mark.parametrize("size", ["", str(len(CONTENT))])
def test_whole_part_put_there_by_hand_is_verified_and_used(tmp_path, size):
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    nowhere = row("http://127.0.0.1:9/nothing-there", bytes=size)
    assert fetch(nowhere, tmp_path / "data.bin").read_bytes() == CONTENT


def test_verified_destination_is_not_fetched_again(tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    fetch(row("http://127.0.0.1:9/nothing-there"), tmp_path / "data.bin")


def test_relative_and_file_addresses(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "data.bin").write_bytes(CONTENT)
    manifest = tmp_path / "source" / "manifest.csv"
    digest = hashlib.md5(CONTENT).hexdigest()
    address = (tmp_path / "source" / "data.bin").as_uri()
    manifest.write_text(
        f"name,url,bytes,md5,sha256\nrelative.bin,data.bin,,{digest},\nuri.bin,{address},,{digest},\n"
    )
    for name in ("relative.bin", "uri.bin"):
        assert fetch(row_of(manifest, name), tmp_path / name).read_bytes() == CONTENT
    with pytest.raises(DataError, match=r"no row for other\.bin"):
        row_of(manifest, "other.bin")


def test_mirrors_are_tried_in_turn(server, tmp_path):
    fetch(
        row(f"{server}/404 {tmp_path}/nothing {server}/html {server}/data"), tmp_path / "data.bin"
    )
    assert (tmp_path / "data.bin").read_bytes() == CONTENT
    with pytest.raises(DataError, match=r"404.*403"):
        fetch(row(f"{server}/404 {server}/403"), tmp_path / "other.bin")


def test_part_that_is_no_beginning_is_fetched_anew(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"too long")
    fetch(row(f"{server}/data"), tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_row_without_checksum_is_refused(tmp_path):
    with pytest.raises(DataError, match="no checksum"):
        fetch(row(tmp_path / "x", md5="", sha256=""), tmp_path / "data.bin")


@pytest.mark.parametrize("value", [5, None])
def test_row_with_a_value_that_is_no_text_is_refused(tmp_path, value):
    with pytest.raises(DataError, match=rf"manifest: bytes is {value}, not a text\. Give a text"):
        fetch(row(tmp_path / "x") | {"bytes": value}, tmp_path / "data.bin")


def test_manifest_of_a_folder_is_read_back(tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    (tmp_path / ".hidden").write_bytes(b"")
    assert write_manifest(tmp_path, tmp_path / "manifest.csv") == ["data.bin"]
    expected = row((tmp_path / "data.bin").resolve())
    assert read_manifest(tmp_path / "manifest.csv") == {"data.bin": expected}
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="contains no files"):
        write_manifest(tmp_path / "empty", tmp_path / "m.csv")


NAMES = ["my file.zip", "a:b.zip", "http:x.zip", "x#y.zip", "p%41 q.zip", "q?r.zip", "ü.zip"]


@pytest.mark.parametrize("folder", ["plain", "with a blank"])
@pytest.mark.parametrize("place", ["{}/manifest.csv", "elsewhere.csv", "{}/list.csv"])
def test_every_file_of_a_manifest_can_be_fetched(tmp_path, folder, place):
    (tmp_path / folder).mkdir()
    for name in NAMES:
        (tmp_path / folder / name).write_text(name)
    manifest = tmp_path / place.format(folder)
    for _ in range(2):  # its own manifest is no file of the folder, and is replaced
        assert write_manifest(tmp_path / folder, manifest) == sorted(NAMES)
    rows = read_manifest(manifest)
    assert sorted(rows) == sorted(NAMES)
    for name, each in rows.items():
        assert fetch(each, tmp_path / "fetched" / name).read_text() == name


@pytest.mark.parametrize("name", [" a.zip", "a.zip ", "a\nb.zip", "a\udcff.zip"])
def test_a_name_that_a_manifest_would_not_keep_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(CONTENT)
    with pytest.raises(DataError, match=r"a manifest could not keep it\. Rename"):
        write_manifest(tmp_path, tmp_path / "manifest.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "name,url,bytes,md5,sha256\ndata.bin,https://a.b/data.bin https://c.d/e,,00000000,\n",
            "manifest.csv, line 2: data.bin has the address https://a.b/data.bin https://c.d/e",
        ),
        ("name,url,bytes,md5,sha256\nx.bin,../x.bin,,00000000,\n", "x.bin has the address ../x"),
        (
            "name,url,bytes,md5,sha256,note\ndata.bin,data.bin,,00000000,,mine\n",
            "has the column note, which would be lost",
        ),
        ("id,image\na,b\n", "column name, url, bytes, md5, sha256 is missing. Rename this file"),
    ],
)
def test_a_manifest_that_says_more_is_not_written_over(tmp_path, text, said):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(text)
    with pytest.raises(DataError, match=re.escape(said)):
        write_manifest(tmp_path, manifest)
    assert manifest.read_text() == text


def test_a_manifest_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    (tmp_path / "manifest.csv").write_bytes(b"")  # as earlier versions left it when killed
    write_manifest(tmp_path, tmp_path / "manifest.csv")
    before = (tmp_path / "manifest.csv").read_bytes()

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("weaklesion.support.files.file_digest", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_manifest(tmp_path, tmp_path / "manifest.csv")
    assert (tmp_path / "manifest.csv").read_bytes() == before


def test_a_name_that_a_spreadsheet_computes_is_refused(tmp_path):
    (tmp_path / "=x.bin").write_bytes(CONTENT)
    with pytest.raises(DataError, match=r"=x.bin: the name '=x.bin' is one that spreadsheets"):
        write_manifest(tmp_path, tmp_path / "manifest.csv")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"name,url,bytes,md5,sha256\n=x.bin,x.bin,,,{'0' * 64}\n")
    with pytest.raises(DataError, match=r"manifest.csv, line 2: the name '=x.bin' is one"):
        read_manifest(manifest)


def test_the_address_of_a_file_begins_with_its_folder_if_a_spreadsheet_would_compute_it(tmp_path):
    (tmp_path / "@home").mkdir()
    (tmp_path / "@home/data.bin").write_bytes(CONTENT)
    write_manifest(tmp_path / "@home", tmp_path / "manifest.csv")
    assert "\ndata.bin,./@home/data.bin," in (tmp_path / "manifest.csv").read_text()
    found = read_manifest(tmp_path / "manifest.csv")["data.bin"]
    assert found["url"] == str((tmp_path / "@home/data.bin").resolve())


def test_members_are_kept_and_the_archive_is_deleted(tmp_path):
    source = make_zip(tmp_path / "a.zip", {"x/1.png": "1", "x/2.png": "2"})
    content = source.read_bytes()
    fetch_members(
        row(source, content, name="a.zip"),
        tmp_path / "fetching" / "a.zip",
        tmp_path / "out",
        lambda names: [name for name in names if "2" in name],
    )
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["2.png"]
    assert list((tmp_path / "fetching").iterdir()) == []


def test_missing_local_file(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        fetch(row(tmp_path / "nothing"), tmp_path / "data.bin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,url\n", "md5, sha256 is missing"),
        ("name,url,bytes,md5,sha256\na,b,,,\n", "line 2: a has no checksum"),
        ("name,url,bytes,md5,sha256\na,b,,12345678,\na,b,,12345678,\n", "line 3: a occurs twice"),
        ("name,url,bytes,md5,sha256\n../a,b,,12345678,\n", "is not a plain file name"),
        ("name,url,bytes,md5,sha256\na,b,x,12345678,\n", "not a whole number"),
        ("name,url,bytes,md5,sha256\na,b,,1234,\n", "fewer than eight"),
    ],
)
def test_bad_manifest(tmp_path, text, message):
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path / "manifest.csv")


def test_missing_manifest(tmp_path):
    with pytest.raises(DataError, match="no such manifest"):
        read_manifest(tmp_path / "manifest.csv")


def make_zip(path, entries):
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in entries.items():
            bundle.writestr(name, content)
    return path


def test_extract_leaves_out_macosx(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"x/a.txt": "A", "__MACOSX/x/._a.txt": "no"})
    assert extract(archive, tmp_path / "out") == [tmp_path / "out" / "x" / "a.txt"]
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()] == ["a.txt"]


def test_extract_chosen_members(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": "A", "b": "B"})
    assert extract(archive, tmp_path / "out", ["b"]) == [tmp_path / "out" / "b"]
    with pytest.raises(DataError, match="has no entry c"):
        extract(archive, tmp_path / "out", ["c"])


def all_files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("archive", "destination", "said"),
    [
        ("data/scans.zip", "data", "data: contains .*data/scans.zip, and unpacking"),
        (
            "scans.zip",
            "data",
            "notes.txt, which did not come from .*scans.zip or were changed since",
        ),
        ("scans.zip", "out", "out: contains x/a, which did not come from"),
        ("scans.zip", "scans.zip", "scans.zip: is a file, not a folder"),
        ("scans.zip", "scans.zip/out", "scans.zip: is a file, not a folder"),
    ],
)
def test_unpacking_removes_nothing_but_what_unpacking_made(tmp_path, archive, destination, said):
    (tmp_path / "data").mkdir()
    make_zip(tmp_path / archive, {"x/a": "A"})
    (tmp_path / "data/notes.txt").write_text("mine")
    extract(tmp_path / archive, tmp_path / "out")
    assert extract(tmp_path / archive, tmp_path / "out") == [tmp_path / "out/x/a"]  # unchanged
    (tmp_path / "out/x/a").write_text("B")  # of the same size
    before = all_files(tmp_path)
    with pytest.raises(DataError, match=said):
        extract(tmp_path / archive, tmp_path / destination)
    assert all_files(tmp_path) == before
    assert not list(tmp_path.rglob(".part.*"))


def test_the_working_directory_is_not_replaced(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", {"a": "A"})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DataError, match="Give a new folder"):
        extract(archive, ".")


def test_a_name_in_capitals_is_that_of_a_zip(tmp_path):
    archive = make_zip(tmp_path / "A.ZIP", {"a": "A"})
    assert extract(archive, tmp_path / "out") == [tmp_path / "out/a"]
    assert is_archive("A.ZIP")


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "C:/evil"])
def test_extract_refuses_entries_that_leave_the_folder(tmp_path, name):
    archive = make_zip(tmp_path / "a.zip", {"good": "g", name: "e"})
    with pytest.raises(DataError, match="would be written outside"):
        extract(archive, tmp_path / "in" / "out")
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "in" / "out").exists()


def test_extract_refuses_links(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = make_zip(tmp_path / "a.zip", {})
    with zipfile.ZipFile(archive, "a") as bundle:
        bundle.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="would be written outside"):
        extract(archive, tmp_path / "out")


def test_extract_refuses_encrypted(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": "A"})
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    central = content.index(b"PK\x01\x02")
    content[central + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        extract(archive, tmp_path / "out")


def test_extract_truncated_corrupt_and_missing(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"a": "A" * 10000})
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged archive"):
        extract(archive, tmp_path / "out")
    corrupt = bytearray(whole)
    corrupt[200] ^= 1
    archive.write_bytes(corrupt)
    with pytest.raises(DataError, match="damaged archive"):
        extract(archive, tmp_path / "out")
    with pytest.raises(DataError, match="no such archive"):
        extract(tmp_path / "none.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_extract_checks_the_free_space(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", {"a": "A" * 1000})
    usage = type("Usage", (), {"free": 999})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="unpacks to 1000 bytes"):
        extract(archive, tmp_path / "out")


def make_tar(path, entries):
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as bundle:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(content)
            bundle.addfile(info, io.BytesIO(content or b""))
    return path


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_tar(tmp_path, name):
    archive = make_tar(tmp_path / name, {"x/a": b"A" * 5000, "x/b": b"B"})
    extract(archive, tmp_path / "out", ["x/a"])
    assert (tmp_path / "out" / "x" / "a").read_bytes() == b"A" * 5000
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(DataError, match="damaged archive"):
        extract(archive, tmp_path / "out2")


@pytest.mark.parametrize("entries", [{"../evil": b"e"}, {"/evil": b"e"}, {"link": None}])
def test_tar_that_leaves_its_folder(tmp_path, entries):
    with pytest.raises(DataError, match="would be written outside"):
        extract(make_tar(tmp_path / "a.tar", entries), tmp_path / "out")


def test_damaged_deflate_stream(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("a", bytes(range(256)) * 100)
    damaged = bytearray(archive.read_bytes())
    damaged[40:60] = b"\xff" * 20
    archive.write_bytes(damaged)
    with pytest.raises(DataError, match="damaged archive"):
        extract(archive, tmp_path / "out")


def test_entry_larger_than_the_archive_says(tmp_path):
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("a", b"0" * 100_000)
    content = bytearray(archive.read_bytes())
    for start in (content.index(b"PK\x01\x02") + 24, 22):
        content[start : start + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged archive|the archive says"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), (".",)])
def test_names_that_clash_or_are_none(tmp_path, names):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as bundle, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            bundle.writestr(name, "x")
    with pytest.raises(DataError, match=r"occurs twice|would be written outside"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_tar_is_unpacked_all_or_not_at_all(tmp_path, name):
    """A damaged header is no end: nothing behind it is lost silently."""
    rng = random.Random(0)
    entries = {f"f{number}": rng.randbytes(700) for number in range(5)}
    archive = make_tar(tmp_path / name, entries)
    whole = archive.read_bytes()
    for number in range(150):
        damaged = bytearray(whole)
        place = rng.randrange(len(whole))
        damaged[place] ^= 1 << rng.randrange(8)
        archive.write_bytes(damaged)
        try:
            paths = extract(archive, tmp_path / f"out{number}")
        except DataError:
            assert not (tmp_path / f"out{number}").exists()
            continue
        assert [path.name for path in paths] == list(entries)
        if name.endswith("gz"):  # content has a checksum in compressed archives only
            assert [path.read_bytes() for path in paths] == list(entries.values())


def test_a_tar_ends_with_zeros_or_is_refused(tmp_path):
    archive = make_tar(tmp_path / "a.tar", {"a": b"A" * 700, "b": b"B" * 700})
    whole = archive.read_bytes()
    one, two = 512 + 1024, 2 * (512 + 1024)  # a header and two blocks each
    for content, cause in (
        (whole[:one], "its end is missing, so it may be truncated"),
        (whole[:two], "its end is missing, so it may be truncated"),
        (whole[:one] + bytes(512) + whole[one + 512 :], "it has data after its end"),
        (whole[:one] + b"x" + whole[one + 1 :], "damaged header"),
        (whole + whole, "it has data after its end"),
        (whole[: two + 512] + bytes(511) + b"x", "it has data after its end"),
    ):
        archive.write_bytes(content)
        with pytest.raises(DataError, match=rf"a\.tar: damaged archive \(.*{cause}"):
            extract(archive, tmp_path / "out")
        with pytest.raises(DataError, match="damaged archive"):
            list_members(archive)
    archive.write_bytes(whole[: two + 512])
    assert len(extract(archive, tmp_path / "out")) == 2


def test_a_compressed_tar_without_end_is_whole_by_its_checksum(tmp_path):
    plain = make_tar(tmp_path / "a.tar", {"a": b"A" * 700}).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(plain[: 512 + 1024]))
    assert len(extract(tmp_path / "a.tar.gz", tmp_path / "out")) == 1


def test_a_name_that_no_file_can_have_is_the_archives_fault(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"x" * 300: "A"})
    with pytest.raises(DataError, match="damaged archive"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "is empty"),
        ("name,url,bytes,md5,sha256\na,b,c,d,e,f\n", "line 2: has 6 fields"),
        ('name,url,bytes,md5,sha256\n"a,b\n', "cannot be read as a table"),
        ("name,url,bytes,md5,sha256\na,http://[/x,,12345678,\n", "line 2: .* is not an address"),
        ("name,url,bytes,md5,sha256\na,x,\u00b2,12345678,\n", "line 2: bytes of a"),
        (f"name,url,bytes,md5,sha256\na,x,{'9' * 5000},12345678,\n", "line 2: bytes of a"),
        ("name,url,bytes,md5,sha256\na,x\0y,,12345678,\n", "line 2: contains a zero byte"),
        ("name,url,url,bytes,md5,sha256\n", "column url occurs twice"),
    ],
)
def test_a_manifest_that_is_none_is_named(tmp_path, text, cause):
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"m\.csv.*{cause}"):
        read_manifest(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_bytes(text.encode("utf-16"))
    with pytest.raises(DataError, match=r"m\.csv.*is not in UTF-8"):
        read_manifest(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"HTTP/1.1 416 R\r\nContent-Length: 0\r\n\r\n", "answered 416"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nx", "Content-Length is 'abc'"),
        (b"HTTP/1.1 302 F\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n", "Invalid"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000_000, "sends more than 1280000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\nx", "fewer than 1000 per second"),
        (b"HTTP/1.1 200 OK\r\nX-", "no complete answer after"),
    ],
)
def test_odd_and_dripping_answers_of_a_server_are_named(tmp_path, monkeypatch, answer, cause):
    for name, value in (("PAUSE_S", 0.0), ("TIMEOUT_S", 0.3), ("ANSWER_S", 1.0)):
        monkeypatch.setattr(download, name, value)
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listening.accept()
        with contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(answer)
            for _ in range(40 if answer[-1:] in b"x-" and len(answer) < 99 else 0):
                time.sleep(0.1)
                connection.sendall(b"x")
        connection.close()

    threading.Thread(target=serve, daemon=True).start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/a"
    with listening, pytest.raises(DataError, match=cause):
        fetch(row(url), tmp_path / "a")


@pytest.mark.parametrize("members", [None, ["x.txt"]])
def test_a_zip_whose_table_of_contents_became_empty_is_no_empty_archive(tmp_path, members):
    """The end of the file says that the table has 0 entries in 0 bytes; the entries are there."""
    archive = make_zip(tmp_path / "a.zip", {"x.txt": "X", "y.txt": "Y"})
    content = bytearray(archive.read_bytes())
    content[-14:-6] = bytes(8)  # numbers of entries, and the table's size
    archive.write_bytes(content)
    assert zipfile.ZipFile(archive).namelist() == []
    with pytest.raises(DataError, match=r"a.zip: damaged archive \(BadZipFile: it lists no file\)"):
        extract(archive, tmp_path / "out", members)
    assert not (tmp_path / "out").exists()
