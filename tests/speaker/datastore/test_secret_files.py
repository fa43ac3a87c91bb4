"""Secrets in files, as Kubernetes mounts them."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from pathlib import Path

import pytest

from speaker.config.reading import read_file
from speaker.datastore.directory import Directory, load_directory
from speaker.datastore.files import read_text
from speaker.datastore.secret_files import MAX_SECRET


def secret(root: Path, name: str, **keys: bytes) -> Path:
    """Write a Secret as somebody does by hand."""
    folder = root / "secrets" / name
    folder.mkdir(parents=True, exist_ok=True)
    for key, value in keys.items():
        (folder / key).write_bytes(value)
    return folder


def mounted(root: Path, name: str, version: str, **keys: bytes) -> None:
    """Write a Secret as Kubernetes mounts and swaps it."""
    folder = root / "secrets" / name
    data = folder / f"..{version}"
    data.mkdir(parents=True)
    for key, value in keys.items():
        (data / key).write_bytes(value)
    draft = folder / "..data_tmp"
    draft.symlink_to(data.name)
    draft.replace(folder / "..data")
    for key in keys:
        if not (folder / key).is_symlink():
            (folder / key).symlink_to(Path("..data") / key)


def value(root: Path, name: str, key: str) -> bytes | None:
    found = load_directory(root).resources.secrets[name].get(key)
    return None if found is None else found.reveal()


def test_a_directory_is_a_secret_and_a_file_a_key(tmp_path: Path) -> None:
    secret(tmp_path, "tor", password=b"hush", other=b"\xff\x00")
    result = load_directory(tmp_path)
    assert (result.problems, result.warnings) == ((), ())
    assert list(result.resources.secrets) == ["tor"]
    assert value(tmp_path, "tor", "password") == b"hush"
    assert value(tmp_path, "tor", "other") == b"\xff\x00"
    assert value(tmp_path, "tor", "none") is None


def test_a_mounted_secret_has_no_keys_of_the_mount(tmp_path: Path) -> None:
    mounted(tmp_path, "tor", "2026_01", password=b"hush")
    result = load_directory(tmp_path)
    assert result.problems == ()
    assert list(result.resources.secrets["tor"].data) == ["password"]
    assert value(tmp_path, "tor", "password") == b"hush"


def test_files_of_secrets_are_no_documents_whatever_their_names(tmp_path: Path) -> None:
    secret(tmp_path, "tor", **{"key.yaml": b"kind: Nonsense"})
    result = load_directory(tmp_path)
    assert result.problems == ()
    assert value(tmp_path, "tor", "key.yaml") == b"kind: Nonsense"


def test_documents_may_stand_in_the_directory_of_secrets(tmp_path: Path) -> None:
    secret(tmp_path, "tor", password=b"hush")
    document = "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {k: hush}}"
    (tmp_path / "secrets" / "s.yaml").write_text(document)
    assert list(load_directory(tmp_path).resources.secrets) == ["s", "tor"]
    assert read_file(document, "s.yaml")[0].valid


def test_a_name_that_is_a_document_too_is_refused(tmp_path: Path) -> None:
    secret(tmp_path, "tor", password=b"hush")
    document = "{apiVersion: v1, kind: Secret, metadata: {name: tor}, stringData: {password: loud}}"
    (tmp_path / "a.yaml").write_text(document)
    (problem,) = load_directory(tmp_path).problems
    assert problem.rule == "duplicate-name"
    assert value(tmp_path, "tor", "password") == b"loud"


def test_what_is_wrong_is_told_with_the_file_and_without_the_value(tmp_path: Path) -> None:
    folder = secret(tmp_path, "tor", password=b"hush\n", broken=b"")
    (folder / "broken").unlink()
    (folder / "broken").symlink_to("nothing")
    secret(tmp_path, "Not_A_Name", password=b"hush")
    secret(tmp_path, "large", password=b"hush" * (MAX_SECRET // 4) + b"!")
    result = load_directory(tmp_path)
    assert [(Path(item.file).name, item.rule) for item in result.problems] == [
        ("Not_A_Name", "name"),
        ("large", "unreadable"),
        ("broken", "unreadable"),
    ]
    assert [(item.file, item.rule) for item in result.warnings] == [
        (f"{folder}/password", "newline")
    ]
    assert "hush" not in repr(result)
    assert "aHVzaA" not in repr(result)


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_never_ends_is_not_read(tmp_path: Path, kind: str) -> None:
    """Neither a key nor a document, and nobody waits for whoever may write to it."""
    folder = secret(tmp_path, "tor", other=b"hush")
    for place in (folder / "password", tmp_path / "peers.yaml"):
        if kind == "fifo":
            os.mkfifo(place)
        else:
            place.symlink_to("/dev/zero")
    result = load_directory(tmp_path)
    said = [(Path(item.file).name, item.rule, item.message) for item in result.problems]
    why = "cannot be read: it is no regular file"
    assert said == [("peers.yaml", "unreadable", why), ("password", "unreadable", why)]
    assert read_text(tmp_path / "peers.yaml") is None


def test_a_secret_that_cannot_be_read_any_more_stays_as_it_was(tmp_path: Path) -> None:
    folder = secret(tmp_path, "tor", password=b"hush")
    directory = Directory(tmp_path)
    directory.load()
    (folder / "password").unlink()
    (folder / "password").symlink_to("nothing")
    result = directory.load()
    assert [item.rule for item in result.problems] == ["unreadable"]
    kept = result.resources.secrets["tor"].get("password")
    assert kept is not None
    assert kept.reveal() == b"hush"


def test_a_swap_of_the_mount_is_seen(tmp_path: Path) -> None:
    mounted(tmp_path, "tor", "1", password=b"one")

    async def passwords() -> list[bytes]:
        found = []
        async with asyncio.timeout(20), aclosing(Directory(tmp_path).snapshots()) as snapshots:
            async for resources in snapshots:
                password = resources.secrets["tor"].get("password")
                assert password is not None
                found.append(password.reveal())
                if len(found) == 2:
                    return found
                mounted(tmp_path, "tor", "2", password=b"two")
        return found

    assert asyncio.run(passwords()) == [b"one", b"two"]


def test_a_directory_of_secrets_that_cannot_be_listed_has_none(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file")
    assert len(load_directory(tmp_path).resources) == 0
    assert os.path.exists(tmp_path / "secrets")
