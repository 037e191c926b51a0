"""Every error a user can meet.

VernalError
├── ConfigError        V1xx  vernal.toml, environment overrides
├── EventError         V2xx  one event, one file of events; dead-lettered, never fatal for its batch
├── ItemError          V25x  one catalogue or user record
├── RequestError       V3xx  one call of the API or of a verb
│   ├── AuthError      V31x  missing key, missing scope
│   └── Overloaded     V32x  shed before work was done; retry later
├── LogError           V4xx  the event log
│   └── DiskFull       V41x  nothing can be made durable; serving goes on
├── StateError         V5xx  online state, live tables, data directory
├── ReleaseError       V6xx  a release that is missing, damaged or made by another version
│   └── GateError      V61x  a release that must not serve: refused, not judged, or with a certificate that does not hold
├── TrainingError      V7xx  too little or unusable history
├── EnvironmentProblem V8xx  the machine: missing extra, port in use
│   └── EncoderError   V81x  a model that makes vectors of text: away, slow, or of another form; search goes on by words
└── MonitoringError    V9xx  rows or baselines that cannot be judged as asked

Message form: `<what> <where>: got <value>; expected <rule>.` and, on its own line, `Hint: <command or edit>.`
Wording lives in the named constructors below; a caller never writes an error sentence of its own.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import ClassVar, Self


class VernalError(Exception):
    """Root of the tree. `code` is stable across versions; `hint` may be empty."""

    code: ClassVar[str] = "V000"
    exit_status: ClassVar[int] = 2

    def __init__(self, what: str, *, where: str = "", got: object = None, expected: str = "", hint: str = "") -> None:
        self.what, self.where, self.got, self.expected, self.hint = what, where, got, expected, hint
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """The message on one or two lines, without the code."""
        head = f"{self.what} {self.where}".strip()
        body = "; ".join(
            part for part in (f"got {shown(self.got)}" if self.got is not None else "", f"expected {self.expected}" if self.expected else "") if part
        )
        line = f"{head}: {body}." if body else f"{head}."
        stop = "" if self.hint.endswith("?") else "."
        return f"{line}\nHint: {self.hint}{stop}" if self.hint else line

    def as_dict(self) -> Mapping[str, object]:
        """The error as the API answers it: `{"error": {...}}`'s inner object."""
        return {
            "code": self.code,
            "message": self.sentence().split("\n", 1)[0],
            "where": self.where,
            "expected": self.expected,
            "hint": self.hint,
        }


class ConfigError(VernalError):
    code = "V100"

    @classmethod
    def unknown_key(cls, where: str, name: str, known: Iterable[str]) -> Self:
        return cls("ConfigError", where=where, got=name, expected="a known key", hint=nearest(name, known) or "run `vernal config explain`")

    @classmethod
    def invalid(cls, where: str, got: object, expected: str, hint: str = "run `vernal config explain`") -> Self:
        return cls("ConfigError", where=where, got=got, expected=expected, hint=hint)


class EventError(VernalError):
    code = "V200"

    @classmethod
    def invalid(cls, where: str, got: object, expected: str, hint: str = "") -> Self:
        return cls("EventError", where=where, got=got, expected=expected, hint=hint)


class ItemError(VernalError):
    code = "V250"

    @classmethod
    def invalid(cls, where: str, got: object, expected: str, hint: str = "") -> Self:
        return cls("ItemError", where=where, got=got, expected=expected, hint=hint)


class RequestError(VernalError):
    code = "V300"

    @classmethod
    def invalid(cls, where: str, got: object, expected: str, hint: str = "") -> Self:
        return cls("RequestError", where=where, got=got, expected=expected, hint=hint)

    @classmethod
    def unknown(cls, what: str, name: str, known: Iterable[str]) -> Self:
        return cls("RequestError", where=what, got=name, expected=f"a known {what}", hint=nearest(name, known))


class AuthError(RequestError):
    code = "V310"

    @classmethod
    def missing_key(cls) -> Self:
        return cls("AuthError", where="X-API-Key", got="no valid key", expected="a key of this server", hint="make one with `vernal keys add --scope serve`")

    @classmethod
    def missing_scope(cls, scope: str) -> Self:
        return cls("AuthError", where="X-API-Key", got="a key without it", expected=f"a key with the scope {scope!r}")


class Overloaded(RequestError):
    code = "V320"

    @classmethod
    def queue_full(cls, waiting: int, limit: int) -> Self:
        return cls("Overloaded", where="request queue", got=waiting, expected=f"at most {limit} waiting", hint="retry after the time in Retry-After")


class LogError(VernalError):
    code = "V400"
    exit_status = 3

    @classmethod
    def broken(cls, path: object, why: str) -> Self:
        return cls(
            "LogError", where=str(path), got=why, expected="a readable event log", hint="check the file and its directory; a copy of the log can be put back"
        )

    @classmethod
    def damaged(cls, path: object, first: int, last: int) -> Self:
        return cls(
            "LogError",
            where=f"{path} offsets {first}..{last}",
            got="bytes that fail their checksum",
            expected="what was appended",
            hint="restore the log from a copy or the archive",
        )


class DiskFull(LogError):
    code = "V410"

    @classmethod
    def cannot_append(cls, path: object, reason: object) -> Self:
        return cls(
            "DiskFull", where=str(path), got=reason, expected="room for a durable append", hint="free space; serving goes on and ingest recovers by itself"
        )


class StateError(VernalError):
    code = "V500"
    exit_status = 3

    @classmethod
    def in_use(cls, path: object, holder: object) -> Self:
        return cls(
            "StateError",
            where=str(path),
            got=f"a lock held by process {holder}",
            expected="one server per data directory",
            hint="stop the other server or choose another data.path",
        )

    @classmethod
    def newer(cls, path: object, got: object, known: object) -> Self:
        return cls("StateError", where=str(path), got=f"format {got}", expected=f"format {known} or older", hint="upgrade vernal, or point data.path elsewhere")

    @classmethod
    def full(cls, path: object) -> Self:
        return cls("StateError", where=str(path), got="no address space left", expected="room in the map", hint="raise data.state_map_gb and start again")

    @classmethod
    def past(cls, got: str) -> Self:
        return cls("StateError", where="log", got=got, expected="nothing: a replay only reads", hint="write to the log itself")

    @classmethod
    def damaged(cls, path: object, why: str) -> Self:
        return cls("StateError", where=str(path), got=why, expected="a readable state", hint="run `vernal rebuild`: state is derived from the log")


class ReleaseError(VernalError):
    code = "V600"
    exit_status = 3

    @classmethod
    def missing(cls, name: str, known: Iterable[str]) -> Self:
        return cls("ReleaseError", where="release", got=name, expected="a kept release", hint=nearest(name, known) or "run `vernal releases`")

    @classmethod
    def none_yet(cls) -> Self:
        return cls("ReleaseError", where="releases", got="none", expected="at least one release", hint="run `vernal train`")

    @classmethod
    def damaged(cls, file: object, why: str) -> Self:
        return cls("ReleaseError", where=str(file), got=why, expected="the bytes named in manifest.json", hint="run `vernal rollback` or `vernal train`")

    @classmethod
    def overtaken(cls, name: str, other: str) -> Self:
        return cls(
            "ReleaseError", where=name, got=f"{other} put in charge meanwhile", expected="nobody else to promote at once", hint="look at `vernal releases`"
        )

    @classmethod
    def unservable(cls, what: str, got: object, expected: str) -> Self:
        return cls("ReleaseError", where=what, got=got, expected=expected, hint="run `vernal train`: a model of another form cannot be served")

    @classmethod
    def newer(cls, name: object, got: object, known: object) -> Self:
        return cls("ReleaseError", where=str(name), got=f"format {got}", expected=f"format {known} or older", hint="upgrade vernal")


class GateError(ReleaseError):
    code = "V610"
    exit_status = 1

    @classmethod
    def refused(cls, name: str, why: str) -> Self:
        return cls(
            "GateError",
            where=name,
            got=f"refused: {why}",
            expected="a release that passed the gate",
            hint=f'`vernal gate {name}` shows why; `vernal promote {name} --in-spite-of-the-gate "REASON"` takes the blame',
        )

    @classmethod
    def unjudged(cls, name: str) -> Self:
        return cls("GateError", where=name, got="no certificate", expected="a release that passed the gate", hint=f"run `vernal gate {name}`")

    @classmethod
    def held(cls, name: str, alarm: str) -> Self:
        return cls(
            "GateError",
            where=name,
            got=f"an open alarm about the data: {alarm}",
            expected="data that are as usual, or an alarm that somebody acknowledged",
            hint=f'see `vernal drift`; `vernal acknowledge`, or `vernal promote {name} --in-spite-of-the-gate "REASON"`',
        )

    @classmethod
    def outdated(cls, name: str, against: str, champion: str) -> Self:
        return cls(
            "GateError",
            where=name,
            got=f"judged against {against or 'none'}",
            expected=f"judged against {champion or 'none'}, which is in charge now",
            hint=f"run `vernal gate {name}`",
        )

    @classmethod
    def broken(cls, file: object, why: str) -> Self:
        return cls(
            "GateError",
            where=str(file),
            got=why,
            expected="a certificate that this data directory's gate signed",
            hint="run `vernal gate RELEASE` to judge it again",
        )

    @classmethod
    def no_key(cls, file: object, why: str) -> Self:
        return cls(
            "GateError",
            where=str(file),
            got=why,
            expected="the key pair of the gate",
            hint="put the keys back from a copy, or remove what is left of them and run `vernal gate RELEASE` to judge and sign it again",
        )


class TrainingError(VernalError):
    code = "V700"
    exit_status = 1

    @classmethod
    def too_little(cls, what: str, got: object, expected: str) -> Self:
        return cls("TrainingError", where=what, got=got, expected=expected, hint="import more history; until then the server answers with trending items")

    @classmethod
    def unordered(cls, what: str, row: int) -> Self:
        return cls(
            "TrainingError",
            where=what,
            got=f"row {row} received before the row above it",
            expected="rows in order of arrival",
            hint="sort by received_at, then offset",
        )


class EnvironmentProblem(VernalError):
    code = "V800"
    exit_status = 3

    @classmethod
    def missing_extra(cls, module: str, extra: str) -> Self:
        return cls("EnvironmentProblem", where=module, got="not installed", expected=f"the extra {extra!r}", hint=f'pip install "vernal[{extra}]"')

    @classmethod
    def cannot_listen(cls, host: str, port: int, why: str) -> Self:
        return cls(
            "EnvironmentProblem",
            where=f"{host}:{port}",
            got=why,
            expected="an address of this machine that may be listened on",
            hint="choose another with serving.host and serving.port",
        )

    @classmethod
    def not_a_child(cls, variable: str) -> Self:
        return cls(
            "EnvironmentProblem", where=variable, got="nothing usable", expected="what `vernal serve` gives the processes it starts", hint="run `vernal serve`"
        )

    @classmethod
    def port_in_use(cls, host: str, port: int) -> Self:
        return cls("EnvironmentProblem", where=f"{host}:{port}", got="a port in use", expected="a free port", hint="choose another with serving.port or --port")


class EncoderError(EnvironmentProblem):
    code = "V810"

    @classmethod
    def away(cls, where: str, why: str) -> Self:
        return cls("EncoderError", where=where, got=why, expected="vectors", hint="start the endpoint, or change search.encoder; search goes on by words")

    @classmethod
    def other_form(cls, where: str, got: object, expected: str) -> Self:
        return cls("EncoderError", where=where, got=got, expected=expected, hint="run `vernal train`: vectors of another model cannot be compared")


class MonitoringError(VernalError):
    code = "V900"
    exit_status = 1

    @classmethod
    def invalid(cls, where: str, got: object, expected: str) -> Self:
        return cls("MonitoringError", where=where, got=got, expected=expected)

    @classmethod
    def schema(cls, got: object, expected: object) -> Self:
        return cls(
            "MonitoringError", where="columns", got=got, expected=f"shapes {expected}", hint="a column came or went: make a new reference, or mend the source"
        )

    @classmethod
    def other_bins(cls, got: str, expected: str) -> Self:
        return cls(
            "MonitoringError", where="summary", got=f"bins {got}", expected=f"bins {expected}", hint="only summaries of one reference add up: summarise again"
        )

    @classmethod
    def late_baseline(cls, got: object) -> Self:
        return cls(
            "MonitoringError",
            where="baseline",
            got=got,
            expected="a baseline that ends before the first window judged",
            hint="acknowledge an incident first: a baseline that moves under the evidence voids the false-alarm promise",
        )

    @classmethod
    def out_of_order(cls, got: int, last: int) -> Self:
        return cls("MonitoringError", where="window", got=got, expected=f"a window after {last}: each is judged once, in order")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest known names, or an empty string.

    >>> nearest("serivng", ["serving", "events"])
    "did you mean 'serving'?"
    """
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(repr(c) for c in close)}?" if close else ""


def shown(value: object, limit: int = 120) -> str:
    """A value as an error shows it: repr, shortened, with its length when cut."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
