"""The one place that joins rooms and engines from the settings.

A `Workspace` is a directory with a `vernal.toml` and the data it names; verbs, server processes and trainers all open one.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Self

from vernal import config
from vernal.clock import Clock, SystemClock
from vernal.config import Settings
from vernal.engines.embedding import Endpoint
from vernal.engines.lmdb import LmdbState
from vernal.engines.mlflow import MlflowTracker
from vernal.engines.onnx import MODEL, TOKENIZER, OnnxEncoder, minilm
from vernal.engines.sqlite import SqliteLog
from vernal.errors import ConfigError, StateError
from vernal.events.archive import Archive
from vernal.events.deadletters import DeadLetters
from vernal.events.history import Catalogue, History
from vernal.events.ports import EventLog
from vernal.events.reading import read_catalogue, read_history, type_codes
from vernal.features.definition import Plan, compile_plan
from vernal.features.ports import StateStore
from vernal.memo import Memo
from vernal.release import ReleaseStore
from vernal.retrieval.encoders import Encoder
from vernal.rollout.certificate import Keys, admission
from vernal.serving.texts import FOLDER
from vernal.training.ports import Tracker, Untracked

DATA_FORMAT = 1
GIB = 2**30


class Workspace:
    """Settings, clock and the engines they choose, each opened on first use.

    Parameters
    ----------
    root : directory that relative paths of the settings start from
    settings : the whole of vernal.toml
    clock : injected present
    """

    def __init__(self, root: Path, settings: Settings, clock: Clock | None = None) -> None:
        self.root, self.settings, self.clock = root, settings, clock or SystemClock()
        self.data = root / settings.data.path
        self.data.mkdir(parents=True, exist_ok=True)
        self.check_format()

    @classmethod
    def open(cls, file: Path = Path("vernal.toml"), clock: Clock | None = None) -> "Workspace":
        """The workspace of a vernal.toml."""
        return cls(file.resolve().parent, config.load(file), clock)

    def check_format(self) -> None:
        """Refuses a data directory of a newer version; marks a new one."""
        file = self.data / "format.json"
        if not file.exists():
            file.write_text(json.dumps({"format": DATA_FORMAT}), encoding="utf-8")
        try:
            found = int(json.loads(file.read_text(encoding="utf-8"))["format"])
        except (ValueError, KeyError, TypeError):
            raise StateError.damaged(file, "unreadable") from None
        if found > DATA_FORMAT:
            raise StateError.newer(self.data, found, DATA_FORMAT)

    def place(self, key: str, url: str, scheme: str, section: str = "data") -> Path:
        """The path in the data directory that `scheme:NAME` names."""
        found, _, name = url.partition(":")
        if found != scheme or not name or name.startswith("/") or ".." in Path(name).parts:
            raise ConfigError.invalid(f"{section}.{key}", url, f'"{scheme}:NAME" with a name inside data.path')
        return self.data / name

    @cached_property
    def log(self) -> EventLog:
        return SqliteLog(self.place("log", self.settings.data.log, "sqlite"), self.clock)

    @cached_property
    def archive(self) -> Archive:
        return Archive(self.place("archive", self.settings.data.archive, "file"))

    def state(self, *, readonly: bool = True) -> StateStore:
        """The online state; the one writer opens it with `readonly=False`."""
        return LmdbState(self.place("state", self.settings.data.state, "lmdb"), readonly=readonly, map_bytes=self.settings.data.state_map_gb * GIB)

    def records(self, *, readonly: bool = True) -> StateStore:
        """The newest item and user records by id, derived from the log; its one writer is the stream worker."""
        return LmdbState(self.data / "records", readonly=readonly, map_bytes=self.settings.data.state_map_gb * GIB)

    @property
    def live_dir(self) -> Path:
        return self.data / "live"

    @property
    def texts_dir(self) -> Path:
        return self.data / FOLDER

    @cached_property
    def releases(self) -> ReleaseStore:
        return ReleaseStore(self.place("releases", self.settings.data.releases, "file"), self.clock, admission(Keys(self.data / "keys")))

    @property
    def memo(self) -> Memo:
        """What trainings leave to the next one."""
        return Memo(self.data / "memo")

    @cached_property
    def plan(self) -> Plan:
        return compile_plan(self.settings)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        return DeadLetters(self.data / "dead-letters.jsonl", self.clock)

    @cached_property
    def tracker(self) -> Tracker:
        """Where trainings are recorded for people to compare.

        Raises
        ------
        EnvironmentProblem
            A store is named and the extra `mlflow` is not installed.
        """
        uri = self.settings.training.mlflow
        if not uri:
            return Untracked()
        scheme, _, name = uri.partition(":")
        if scheme != "sqlite" or name.startswith("//"):
            return MlflowTracker(uri)
        file = self.place("mlflow", uri, "sqlite", "training")
        return MlflowTracker(f"sqlite:///{file.resolve()}", file.with_name(f"{file.name}-artifacts").resolve().as_uri())

    def encoder(self, name: str) -> Encoder:
        """The encoder that `search.encoder` names, where it is not learned from the catalogue.

        Raises
        ------
        ConfigError
            No such name, or no model in the folder it names.
        EnvironmentProblem
            The extra `minilm` is needed and not installed.
        """
        scheme, _, rest = name.partition(":")
        if name == "minilm":
            return minilm()
        if scheme == "onnx" and rest:
            return OnnxEncoder(self.root / rest / MODEL, self.root / rest / TOKENIZER)
        if scheme in ("http", "https"):
            return Endpoint(name)
        raise ConfigError.invalid("search.encoder", name, '"lsa", "minilm", "onnx:FOLDER" or the address of an endpoint')

    @property
    def keys_path(self) -> Path:
        return self.data / "keys.json"

    def history(self, until: int | None = None) -> History:
        """The log as columns, up to an offset or its end."""
        return read_history(self.log, self.archive, type_codes(self.settings), until)

    def catalogue(self, until: int | None = None) -> Catalogue:
        return read_catalogue(self.log, self.settings.items, until)

    def close(self) -> None:
        """Closes the log if it was opened; what is asked for afterwards is opened again."""
        if "log" in self.__dict__:
            self.log.close()
            del self.__dict__["log"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def exclusive(self, role: str) -> Iterator[IO[str]]:
        """Holds the lock of a role (`server`, `trainer`, `import`) on this data directory while the block runs, and longer where a child inherits the file.

        Raises
        ------
        StateError
            Another live process holds it; a dead one's lock is gone with it.
        """
        with (self.data / f"{role}.lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                raise StateError.in_use(self.data, file.read().strip() or "unknown") from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield file


Progress = Callable[[str, int, int], None]  # (stage, done, total)
