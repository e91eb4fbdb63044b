"""Where a table's files are: a local folder, or a bucket. Any thread.

Both offer the two operations that a table without a service needs: a file appears as a whole or
not at all, and a small file is replaced only if no other process has replaced it meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from kitepolars.errors import TableError
from kitepolars.journal.folder import make_private, sync_folder
from kitepolars.journal.lock import FileLock

if TYPE_CHECKING:
    from obstore.store import ObjectStore

LOCK_POLL: Final = 0.005
"""Seconds between two attempts to lock a day."""

LOCK_TIMEOUT: Final = 60.0
"""Seconds after which a day that stays locked is an error."""

LOCK_NAME: Final = "manifest.lock"
UNFINISHED: Final = ".unfinished-"
"""How the name of a file begins that is not complete yet; never part of a table."""

_SCHEMES: Final = ("s3://", "s3a://")

StorageOptions: TypeAlias = Mapping[str, str]
"""Settings of an object store, as Polars takes them, such as ``{"aws_region": "ap-south-1"}``."""


class Stored(NamedTuple):
    """A small file's content.

    Parameters
    ----------
    data
        The bytes.
    version
        Identifies them; another content has another version.
    """

    data: bytes
    version: str


class Listed(NamedTuple):
    """A file in storage.

    Parameters
    ----------
    name
        Its path below the table, with ``/``.
    bytes
        Its size.
    age
        Seconds since it was written.
    """

    name: str
    bytes: int
    age: float


class Storage(Protocol):
    """A folder or a bucket. Names are relative, with ``/``."""

    @property
    def options(self) -> StorageOptions | None:
        """The settings for Polars' own reader."""
        ...

    def url(self, name: str) -> str:
        """Return what Polars scans."""
        ...

    def read(self, name: str) -> Stored | None:
        """Return a small file, or None if there is none."""
        ...

    def replace(self, name: str, data: bytes, version: str | None) -> bool:
        """Replace a small file if it still has a version (None: if there is none); else False."""
        ...

    def put(self, name: str, file: Path) -> None:
        """Move a complete local file in, as a whole and on the disk; it may replace its equal."""
        ...

    def workspace(self, name: str) -> Path:
        """Return a local path to write a file to, before it is `put` under a name."""
        ...

    def local_copy(self, name: str) -> AbstractContextManager[Path]:
        """Return a file of this machine with the content of one, for as long as it is needed."""
        ...

    def listed(self, prefix: str = "") -> Iterator[Listed]:
        """Yield the files below a folder."""
        ...

    def folders(self) -> list[str]:
        """Return the names of the folders at the top."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file; harmless if it is gone."""
        ...


def open_storage(path: str | os.PathLike[str], options: StorageOptions | None = None) -> Storage:
    """Return the storage of a local folder or of an ``s3://`` URL.

    Raises
    ------
    TableError
        When the URL has another scheme, or what speaks to it is not installed.
    """
    place = os.fspath(path)
    if place.startswith(_SCHEMES):
        return Bucket.open(place, options)
    if "://" in place:
        raise TableError("a table is a folder or an s3:// URL", path=place)
    return Folder(Path(place))


@dataclass(frozen=True, slots=True)
class Folder:
    """A table's files in a local folder.

    Parameters
    ----------
    root
        The folder.
    """

    root: Path
    options: StorageOptions | None = None

    def url(self, name: str) -> str:
        """Return a file's path."""
        return str(self.root / name)

    def read(self, name: str) -> Stored | None:
        """Return a small file, or None if there is none."""
        try:
            data = (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stored(data, _digest(data))

    def replace(self, name: str, data: bytes, version: str | None) -> bool:
        """Replace a small file under the lock of its folder, if it still has a version."""
        target = self.root / name
        make_private(target.parent)
        with self._locked(target.parent):
            stored = self.read(name)
            if (None if stored is None else stored.version) != version:
                return False
            unfinished = target.with_name(f"{UNFINISHED}{os.getpid()}-{target.name}")
            unfinished.write_bytes(data)
            _settle(unfinished, target)
        return True

    def put(self, name: str, file: Path) -> None:
        """Rename a complete file of the same disk, and have both on it."""
        target = self.root / name
        make_private(target.parent)
        _settle(file, target)

    def workspace(self, name: str) -> Path:
        """Return a hidden path beside the file, so that a rename makes it visible."""
        target = self.root / name
        make_private(target.parent)
        return target.with_name(f"{UNFINISHED}{os.getpid()}-{target.name}")

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """Yield the file itself."""
        yield self.root / name

    def listed(self, prefix: str = "") -> Iterator[Listed]:
        """Yield the files below a folder, unfinished ones included, locks excluded."""
        now = time.time()
        for path in (self.root / prefix).rglob("*"):
            with suppress(FileNotFoundError):  # another process may tidy, too
                if path.is_file() and path.name != LOCK_NAME:
                    status = path.stat()
                    name = path.relative_to(self.root).as_posix()
                    yield Listed(name, status.st_size, now - status.st_mtime)

    def folders(self) -> list[str]:
        """Return the names of the folders at the top."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.is_dir())

    def delete(self, name: str) -> None:
        """Delete a file; harmless if it is gone."""
        (self.root / name).unlink(missing_ok=True)

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        end = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                lock = FileLock(folder / LOCK_NAME)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise TableError(
                        f"another process has held {LOCK_NAME} for {LOCK_TIMEOUT:.0f} s: "
                        "find it with lsof, and end it",
                        path=folder,
                    ) from None
                time.sleep(LOCK_POLL)
        try:
            yield
        finally:
            lock.release()


class _Scratch:
    """A temporary folder, made when it is first needed and removed with this object."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def folder(self) -> Path:
        """Return the folder."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="kitepolars-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder


@dataclass(frozen=True, slots=True)
class Bucket:
    """A table's files in an object store that has conditional writes, such as S3.

    Parameters
    ----------
    root
        The URL of the table, without a final slash.
    store
        What speaks to the service, at the table's prefix.
    options
        The settings for Polars' own reader.
    """

    root: str
    store: ObjectStore
    options: StorageOptions | None = None
    scratch: _Scratch = field(default_factory=_Scratch, repr=False)

    @classmethod
    def open(cls, url: str, options: StorageOptions | None) -> Bucket:
        """Return the storage of a URL; see `open_storage`."""
        try:
            from obstore.store import from_url  # noqa: PLC0415 - an extra
        except ImportError:
            raise TableError(
                "a table in a bucket needs obstore: pip install 'kitepolars[days]'", path=url
            ) from None
        root = url.rstrip("/")
        settings: Any = dict(options or {})  # its names are the same as those Polars takes
        allow_http = settings.pop("allow_http", settings.pop("aws_allow_http", None))
        client: Any = {} if allow_http is None else {"allow_http": str(allow_http) == "true"}
        store = from_url(root, config=settings or None, client_options=client or None)
        return cls(root, store, options)

    def url(self, name: str) -> str:
        """Return a file's URL."""
        return f"{self.root}/{name}"

    def read(self, name: str) -> Stored | None:
        """Return a small file, or None if there is none."""
        import obstore  # noqa: PLC0415 - an extra

        try:
            result = obstore.get(self.store, name)
        except FileNotFoundError:
            return None
        return Stored(bytes(result.bytes()), result.meta["e_tag"] or "")

    def replace(self, name: str, data: bytes, version: str | None) -> bool:
        """Replace a small file with a conditional put."""
        import obstore  # noqa: PLC0415 - an extra
        from obstore.exceptions import (  # noqa: PLC0415 - an extra
            AlreadyExistsError,
            PreconditionError,
        )

        try:
            if version is None:
                obstore.put(self.store, name, data, mode="create", use_multipart=False)
            else:
                obstore.put(self.store, name, data, mode={"e_tag": version}, use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            return False
        return True

    def put(self, name: str, file: Path) -> None:
        """Upload a complete file; it appears when all of it has arrived."""
        import obstore  # noqa: PLC0415 - an extra

        obstore.put(self.store, name, file)
        file.unlink()

    def workspace(self, name: str) -> Path:
        """Return a path in a temporary folder of this machine."""
        return self.scratch.folder() / name.replace("/", "_")

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """Yield a download, which is then deleted."""
        import obstore  # noqa: PLC0415 - an extra

        path = self.workspace(f"copy-{name}")
        try:
            with path.open("wb") as file:
                for part in obstore.get(self.store, name).stream():
                    file.write(part)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def listed(self, prefix: str = "") -> Iterator[Listed]:
        """Yield the files below a folder."""
        import obstore  # noqa: PLC0415 - an extra

        now = time.time()
        for batch in obstore.list(self.store, prefix or None):
            for meta in batch:
                yield Listed(meta["path"], meta["size"], now - meta["last_modified"].timestamp())

    def folders(self) -> list[str]:
        """Return the names of the folders at the top."""
        import obstore  # noqa: PLC0415 - an extra

        prefixes = obstore.list_with_delimiter(self.store)["common_prefixes"]
        return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in prefixes)

    def delete(self, name: str) -> None:
        """Delete a file; harmless if it is gone."""
        import obstore  # noqa: PLC0415 - an extra

        with suppress(FileNotFoundError):
            obstore.delete(self.store, name)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _settle(file: Path, target: Path) -> None:
    """Put a file's bytes on the disk, then its name."""
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())
    file.replace(target)
    sync_folder(target.parent)
