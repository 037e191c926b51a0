"""The one settings tree: every key of `vernal.toml` with its type, default, unit and effect, and nowhere else.

Reading order: defaults here, then the file, then `VERNAL_SECTION__KEY` from the environment. An unknown key is an error with
the nearest known name. `fingerprint()` goes into every release's lineage.
"""

import hashlib
import os
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from vernal.errors import ConfigError

Language = Literal[
    "", "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian", "italian", "norwegian", "portuguese", "romanian",
    "russian", "spanish", "swedish", "tamil", "turkish"
]  # fmt: skip
UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def duration_s(text: str, where: str = "duration") -> int:
    """Seconds of a duration written as number and unit.

    >>> duration_s("5min"), duration_s("30d")
    (300, 2592000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text)
    if not match or match[2] not in UNITS_S:
        raise ConfigError.invalid(where, text, "a number and one of s, m, min, h, d, w", 'write for example "7d"')
    return round(float(match[1]) * UNITS_S[match[2]])


def about(text: str, **limits: Any) -> Any:
    return Meta(description=text, **limits)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of vernal.toml."""


class Data(Section, frozen=True, kw_only=True):
    path: Annotated[str, about("directory for everything Vernal keeps, relative to vernal.toml")] = "data"
    log: Annotated[str, about('event log; "sqlite:NAME" is a file in path')] = "sqlite:log.db"
    archive: Annotated[str, about('Parquet archive; "file:NAME" is a folder in path')] = "file:archive"
    state: Annotated[str, about('online state; "lmdb:NAME" is a folder in path')] = "lmdb:state"
    releases: Annotated[str, about('release store; "file:NAME" is a folder in path')] = "file:releases"
    state_map_gb: Annotated[int, about("address space reserved for the state, GiB; a sparse file, not disk used", ge=1)] = 64


class EventColumns(Section, frozen=True, kw_only=True):
    """Which column of your files holds what; empty = not there."""

    user: Annotated[str, about("column of the user id")] = "user"
    item: Annotated[str, about("column of the item id")] = "item"
    type: Annotated[str, about("column of the event type; empty = every row is default_type")] = "type"
    time: Annotated[str, about("column of the event time")] = "time"
    value: Annotated[str, about("column of the value (rating, price, quantity); empty = none")] = ""
    event_id: Annotated[str, about("column of a unique event id; empty = identity is the row's content")] = ""
    session: Annotated[str, about("column of the session id; empty = none")] = ""
    received_at: Annotated[str, about("column of the arrival time; empty = arrival is the event time")] = ""


class EventType(Section, frozen=True, kw_only=True):
    weight: Annotated[float, about("how much one such event says about taste, 0..100; 0 = counted, never a positive", ge=0, le=100)] = 1.0
    min_value: Annotated[float | None, about("only events with at least this value are positives; none = all")] = None


class Events(Section, frozen=True, kw_only=True):
    files: Annotated[list[str], about("CSV, JSON Lines or Parquet files to import, relative to vernal.toml; globs allowed")] = []
    columns: Annotated[EventColumns, about("column names of those files")] = EventColumns()
    time_unit: Annotated[
        Literal["auto", "rfc3339", "s", "ms", "us", "ns"], about("unit of numeric times; auto looks at the magnitude and refuses when unsure")
    ] = "auto"
    timezone: Annotated[str, about("zone of times written without one")] = "UTC"
    default_type: Annotated[str, about("type of rows without a type column")] = "view"
    types: Annotated[dict[str, EventType], about("event types that count, in the order of their codes")] = msgspec.field(
        default_factory=lambda: {"view": EventType()}
    )
    repeats: Annotated[bool, about("may an item a user already has be recommended again (groceries: true, films: false)")] = False


class Items(Section, frozen=True, kw_only=True):
    files: Annotated[list[str], about("catalogue files to import, relative to vernal.toml")] = []
    id: Annotated[str, about("column of the item id")] = "item"
    title: Annotated[str, about("column of the title; empty = the id is shown")] = "title"
    text: Annotated[list[str], about("columns of free text, for content similarity and search")] = []
    attributes: Annotated[list[str], about("columns of categories (text or lists), for filters, caps, crosses and content")] = []


class Users(Section, frozen=True, kw_only=True):
    files: Annotated[list[str], about("user files to import, relative to vernal.toml")] = []
    id: Annotated[str, about("column of the user id")] = "user"
    attributes: Annotated[list[str], about("columns of user attributes")] = []


class Aggregate(Section, frozen=True, kw_only=True):
    """count, trend, sum, mean, last, recency, first_seen, distinct, min, max: over which events, how far back."""

    event: Annotated[str | list[str], about("event type or types; empty = every configured type")] = []
    window: Annotated[str | list[str], about("tile-aligned window or windows: up to 1h in 5-minute tiles, up to 1d in hours, else in days")] = []
    half_life: Annotated[str | list[str], about("exponential half-life or half-lives")] = []
    n: Annotated[int, about("how many items `last` keeps", ge=1, le=64)] = 5


class Rate(Section, frozen=True, kw_only=True):
    of: Annotated[str, about("event type in the numerator")]
    per: Annotated[str, about("event type in the denominator; `impression` = shown in a slate")]
    window: Annotated[str | list[str], about("tile-aligned window or windows")] = []
    half_life: Annotated[str | list[str], about("exponential half-life or half-lives")] = []
    prior: Annotated[float, about("pseudo-count of the denominator at the prior mean", ge=0)] = 20.0
    prior_mean: Annotated[float, about("the rate assumed before any evidence, 0..1", ge=0, le=1)] = 0.05


class View(Section, frozen=True, kw_only=True):
    """One feature view; exactly one aggregate."""

    entity: Annotated[str | list[str], about('"user", "item", ["user", "item"] or ["user", "item.ATTRIBUTE"]')]
    count: Annotated[Aggregate | None, about("number of events")] = None
    trend: Annotated[
        Aggregate | None, about("events a second over each half-life but the last, relative to the last: 1 = steady, more = rising; two half-lives or more")
    ] = None
    sum: Annotated[Aggregate | None, about("sum of values")] = None
    mean: Annotated[Aggregate | None, about("mean of values")] = None
    min: Annotated[Aggregate | None, about("least value")] = None
    max: Annotated[Aggregate | None, about("greatest value")] = None
    distinct: Annotated[Aggregate | None, about("number of distinct items")] = None
    last: Annotated[Aggregate | None, about("last n items, newest first")] = None
    recency: Annotated[Aggregate | None, about("seconds since the newest event")] = None
    first_seen: Annotated[Aggregate | None, about("seconds since the oldest event")] = None
    rate: Annotated[Rate | None, about("ratio of two counts with a prior")] = None


class State(Section, frozen=True, kw_only=True):
    history: Annotated[int, about("raw recent events kept per user (K); the cap is part of every user x item definition", ge=16, le=4096)] = 512
    horizon: Annotated[str, about("how far back day tiles reach; half-lives are cut here")] = "128d"


class Scenario(Section, frozen=True, kw_only=True):
    n: Annotated[int, about("items in a slate when the request does not say", ge=1, le=500)] = 10
    temperature: Annotated[float, about("Plackett-Luce temperature over the head of the ranking; 0 = deterministic", ge=0, le=10)] = 0.0
    explore_head: Annotated[int, about("how many of the best ranked may be shuffled by exploration", ge=1, le=200)] = 50
    explore_share: Annotated[float, about("share of slots that go to fresh items, each as often as it may be the best of them, 0..0.5", ge=0, le=0.5)] = 0.0
    explore_until: Annotated[float, about("showings, of which half count after a week, that end an item's exploration", gt=0)] = 100.0
    explore_for: Annotated[str, about("how long after its first mention an item is explored; showings fade, so a long time tops up what had enough")] = "4d"
    diversity: Annotated[float, about("0 = pure score, 1 = pure novelty against items already placed (MMR)", ge=0, le=1)] = 0.0
    caps: Annotated[dict[str, int], about("at most this many items of one value of an attribute")] = {}
    filter: Annotated[dict[str, str | list[str]], about("only items with these attribute values")] = {}
    repeats: Annotated[bool | None, about("overrides events.repeats here")] = None


class Retrieval(Section, frozen=True, kw_only=True):
    trending: Annotated[list[str], about("half-lives of the popularity lists")] = msgspec.field(default_factory=lambda: ["6h", "1d", "3d", "14d"])
    recent_events: Annotated[int, about("newest events of a user that query the item models", ge=1, le=500)] = 50
    recent_half_life: Annotated[str, about("half-life of an event's weight in those queries")] = "30d"
    min_events: Annotated[int, about("events an item needs to enter the item models", ge=1)] = 5
    ease_neighbours: Annotated[int, about("neighbours per item of the local EASE model (K)", ge=10, le=500)] = 100
    ease_ridge: Annotated[float, about("ridge of the local EASE model", gt=0)] = 100.0
    covisitation_neighbours: Annotated[int, about("neighbours per item of the co-visitation model", ge=10, le=500)] = 50
    ials_dim: Annotated[int, about("dimension of item vectors", ge=8, le=512)] = 64
    exact_below: Annotated[int, about("catalogue size up to which vectors are scanned exactly", ge=0)] = 50_000
    candidates: Annotated[int, about("candidates that reach the ranker", ge=20, le=2000)] = 300


class Training(Section, frozen=True, kw_only=True):
    budget_s: Annotated[int, about("time the hyper-parameter search may take, seconds", ge=0)] = 6
    ranker: Annotated[bool, about("fit a ranker; false = retrieval order")] = True
    windows: Annotated[int, about("past windows from which ranking examples are simulated", ge=1, le=52)] = 4
    window: Annotated[str, about("length of each such window")] = "7d"
    requests: Annotated[int, about("simulated past requests over all windows, at most", ge=100)] = 4_000
    moments: Annotated[
        Literal["activity", "window"],
        about("when those requests are made: activity = once per user and day, about that day; window = once per user and window, about all of it"),
    ] = "activity"
    negatives: Annotated[int, about("items not chosen that are kept per simulated request", ge=1, le=2000)] = 20
    trees: Annotated[int, about("trees in the ranker", ge=10, le=2000)] = 300
    evaluate_last: Annotated[str, about("last stretch of the log on which a release is evaluated, or up to a window more: it begins with a window")] = "7d"
    evaluate_requests: Annotated[int, about("requests in that evaluation, at most", ge=10)] = 1_000
    seed: Annotated[int, about("seed of everything random in training", ge=0)] = 0
    keep: Annotated[int, about("newest releases kept on disk, beside those in charge, on trial or still to be scored", ge=1)] = 5
    mlflow: Annotated[
        str, about('MLflow store that trainings are recorded in; "sqlite:NAME" is a file in data.path, else a tracking URI; empty = none; needs vernal[mlflow]')
    ] = ""


class Serving(Section, frozen=True, kw_only=True):
    host: Annotated[str, about("address to listen on; anything but loopback requires keys")] = "127.0.0.1"
    port: Annotated[int, about("port", ge=0, le=65535)] = 8420
    workers: Annotated[int, about("API worker processes", ge=1, le=64)] = 2
    deadline_ms: Annotated[float, about("time after which an answer falls to a cheaper rung, milliseconds", gt=0)] = 35.0
    queue: Annotated[int, about("requests one worker may have waiting before it sheds with 429", ge=1)] = 256
    require_keys: Annotated[bool | None, about("ask for API keys; default: only off loopback")] = None
    commit_ms: Annotated[float, about("how long an append waits for company before its fsync, milliseconds", ge=0, le=1000)] = 2.0
    log_slates: Annotated[bool, about("log every answered slate with its propensities and features")] = True


class Audit(Section, frozen=True, kw_only=True):
    sample: Annotated[int, about("served requests recomputed from the log by one skew audit", ge=1)] = 200


class Monitoring(Section, frozen=True, kw_only=True):
    promise: Annotated[float, about("chance that a product where all is as usual ever raises an alarm, over all streams and all time", gt=0, lt=1)] = 0.01
    window: Annotated[str, about("length of the windows that are judged; hours for fast catalogues")] = "1d"
    reference: Annotated[str, about("how much of the past says what is usual; three weeks at least")] = "56d"
    mature_after: Annotated[str, about("how long after a slate its outcomes are waited for")] = "1d"
    mended_after: Annotated[int, about("whole windows as usual after which a fault of the data is over without a person's word; 0 = never", ge=0)] = 2
    known_days: Annotated[list[str], about('days that are not as usual and known to be, as "2026-11-27"; only data quality is judged then')] = []


class Rollout(Section, frozen=True, kw_only=True):
    mode: Annotated[Literal["automatic", "propose", "off"], about("train, judge and promote by itself; only say what it would do; or neither")] = "automatic"
    metric: Annotated[Literal["ndcg@10", "recall@20", "hr@20"], about("what staleness and the gate are measured by")] = "recall@20"
    look: Annotated[str, about("pause between two looks at what came in; the first comes this long after the server answers")] = "1min"
    cadence: Annotated[str, about("a training this long after the last, whatever happens; triggers only bring it forward")] = "1d"
    max_age: Annotated[str, about("oldest that the release in charge may get; a training is due before, in spite of budget and pause")] = "3d"
    delta: Annotated[float, about("regret, relative to a release trained a day before, above which a release counts as stale", gt=0, lt=1)] = 0.05
    regret_window: Annotated[str, about("over how long regret is averaged")] = "14d"
    tolerance: Annotated[str, about("longest that a release may be stale before it counts as an incident")] = "7d"
    unknown_share: Annotated[float, about("share of events on items the release in charge never saw that brings training forward", gt=0, le=1)] = 0.05
    cool_down: Annotated[str, about("shortest pause between two trainings, unless the age limit is near")] = "6h"
    follow_ups: Annotated[list[str], about("trainings after a jump: the first one has too little of the new to learn from")] = msgspec.field(
        default_factory=lambda: ["3d", "7d"]
    )
    budget: Annotated[int, about("most trainings in 30 days; 0 = as many as the rest allows", ge=0)] = 0
    margin: Annotated[float, about("how much worse than the release in charge a new one may be, relative, on the whole and on every slice", ge=0, lt=1)] = 0.05
    keep: Annotated[int, about("retired releases that are scored again on new days, to know the price of age", ge=0)] = 3
    holdout: Annotated[float, about("share of users who get the best non-personalised list, to measure uplift against; 0 = none", ge=0, le=0.5)] = 0.02
    canary_steps: Annotated[
        list[Annotated[float, Meta(gt=0, le=0.9)]],
        about("shares of users that meet a release the gate has passed, one step after another; none = promoted at once"),
    ] = msgspec.field(default_factory=lambda: [0.01, 0.05, 0.25, 0.5])
    canary_step: Annotated[str, about("shortest time of a step, and of the answers made before it that nobody sees")] = "1min"
    canary_for: Annotated[str, about("after so long, a release with nothing against it is promoted although too little was seen to be sure")] = "6h"
    promise: Annotated[
        float, about("chance that a release no worse than the one in charge is rolled back, over all looks and all that is looked at", gt=0, lt=1)
    ] = 0.01


class Search(Section, frozen=True, kw_only=True):
    language: Annotated[Language, about('language of the catalogue, whose stemmer and stop words are used; "" = neither')] = "english"
    encoder: Annotated[
        str,
        about(
            'what turns text into vectors: "lsa" learns it from the catalogue; "minilm" needs vernal[minilm]; "onnx:FOLDER" has model.onnx and tokenizer.json; '
            '"http://HOST/v1/embeddings#MODEL" asks an endpoint, with VERNAL_EMBEDDING_KEY if that is set; empty = words alone'
        ),
    ] = "lsa"
    dim: Annotated[int, about("dimension of learned text vectors", ge=8, le=1024)] = 128
    semantic_share: Annotated[Annotated[float, Meta(ge=0, le=1)] | None, about("weight of meaning beside words, 0..1; none = tuned at training")] = None
    judgements: Annotated[str, about("file of judged queries that training tunes by, relative to vernal.toml; empty = clicks")] = ""
    synonyms: Annotated[dict[str, list[str]], about("words of a query -> what they may mean as well")] = {}


class Settings(Section, frozen=True, kw_only=True):
    """The whole of vernal.toml."""

    data: Data = Data()
    events: Events = Events()
    items: Items = Items()
    users: Users = Users()
    state: State = State()
    features: Annotated[dict[str, View], about("feature views by name; none = the default set")] = {}
    retrieval: Retrieval = Retrieval()
    training: Training = Training()
    scenarios: Annotated[dict[str, Scenario], about("named places where slates appear; `home` and `similar` always exist")] = {}
    serving: Serving = Serving()
    audit: Audit = Audit()
    monitoring: Monitoring = Monitoring()
    rollout: Rollout = Rollout()
    search: Search = Search()

    def scenario(self, name: str) -> Scenario:
        """The settings of a scenario; `home`, `similar` and `search` exist without being named."""
        if name in self.scenarios:
            return self.scenarios[name]
        if name in ("home", "similar", "search"):
            return Scenario()
        raise ConfigError.unknown_key("scenario", name, [*self.scenarios, "home", "similar", "search"])

    def shaping(self) -> "Settings":
        """The settings that shape data, state, models and the references they carry; addresses, the promise and rollout, which do not, as by default."""
        training, windows = msgspec.structs.replace(self.training, mlflow=""), Monitoring(window=self.monitoring.window, reference=self.monitoring.reference)
        return msgspec.structs.replace(self, data=Data(), training=training, serving=Serving(), monitoring=windows, rollout=Rollout())

    def fingerprint(self) -> str:
        """sha256 of the shaping settings."""
        return hashlib.sha256(msgspec.json.encode(self.shaping(), order="sorted")).hexdigest()


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a `vernal.toml` with the environment's overrides.

    Raises
    ------
    ConfigError
        No such file, not TOML, an unknown key, a value of the wrong type or out of range.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError.invalid(str(path), "no such file", "a vernal.toml", "run `vernal init events.parquet items.csv`") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError.invalid(str(path), str(error), "valid TOML") from None
    return parse(overridden(tree, environment), str(path))


def parse(tree: dict[str, Any], where: str = "vernal.toml") -> Settings:
    """Settings from a plain tree, every key checked; durations are checked too."""
    check_names(tree, Settings, where)
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$")
        raise ConfigError.invalid(f"{where} {at.rstrip('`').lstrip('.')}".strip(), value_at(tree, at), message) from None
    check_durations(settings, where)
    return settings


def changed(settings: Settings, changes: Mapping[str, Any], where: str = "settings") -> Settings:
    """The settings with some keys set to other values, every key checked.

    >>> changed(Settings(), {"scenarios.home.temperature": 0.5}).scenario("home").temperature
    0.5
    """
    tree = msgspec.to_builtins(settings)
    for path, value in changes.items():
        *tables, key = path.split(".")
        table = tree
        for step in tables:
            table = table.setdefault(step, {}) if isinstance(table, dict) else {}
        table[key] = value
    return parse(tree, where)


def check_names(tree: Any, kind: Any, where: str) -> None:
    """Raises on the first key that its table does not know."""
    kind = bare(kind)
    if typing.get_origin(kind) is dict and isinstance(tree, dict):
        for name, value in tree.items():
            check_names(value, typing.get_args(kind)[1], f"{where} {name}" if " " not in where else f"{where}.{name}")
    elif isinstance(kind, type) and issubclass(kind, Section) and isinstance(tree, dict):
        hints = typing.get_type_hints(kind, include_extras=True)
        for name, value in tree.items():
            at = f"{where} {name}" if " " not in where else f"{where}.{name}"
            if name not in hints:
                raise ConfigError.unknown_key(at, name, hints)
            check_names(value, hints[name], at)


def bare(kind: Any) -> Any:
    """A type without Annotated and without `| None`."""
    if typing.get_origin(kind) is Annotated:
        return bare(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        sections = [arm for arm in typing.get_args(kind) if isinstance(arm, type) and issubclass(arm, Section)]
        return sections[0] if sections else kind
    return kind


def value_at(tree: Any, path: str) -> Any:
    """The value a msgspec path such as `.serving.port` points at, as far as it can be followed."""
    for name in re.findall(r"[^.\[\]`]+", path):
        if isinstance(tree, dict) and name in tree:
            tree = tree[name]
    return tree if not isinstance(tree, dict) else None


def check_durations(settings: Settings, where: str) -> None:
    singles = {
        "state.horizon": settings.state.horizon,
        "retrieval.recent_half_life": settings.retrieval.recent_half_life,
        "training.window": settings.training.window,
        "training.evaluate_last": settings.training.evaluate_last,
        **{f"monitoring.{name}": getattr(settings.monitoring, name) for name in ("window", "reference", "mature_after")},
        **{
            f"rollout.{name}": getattr(settings.rollout, name)
            for name in ("look", "cadence", "max_age", "regret_window", "tolerance", "cool_down", "canary_step", "canary_for")
        },
    }
    for at, text in singles.items():
        duration_s(text, f"{where} {at}")
    for name, scenario in settings.scenarios.items():
        duration_s(scenario.explore_for, f"{where} scenarios.{name}.explore_for")
    for text in settings.rollout.follow_ups:
        duration_s(text, f"{where} rollout.follow_ups")
    for text in settings.retrieval.trending:
        duration_s(text, f"{where} retrieval.trending")


def overridden(tree: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The tree with every VERNAL_SECTION__KEY applied; values are read as TOML, else as text."""
    for name, text in sorted(environment.items()):
        if not name.startswith("VERNAL_") or "__" not in name:
            continue
        *tables, key = name.removeprefix("VERNAL_").lower().split("__")
        table = tree
        for step in tables:
            table = table.setdefault(step, {})
        try:
            table[key] = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            table[key] = text
    return tree


class Key(msgspec.Struct, frozen=True):
    """One documented key of the settings tree."""

    path: str
    kind: str
    default: str
    effect: str


def explain(kind: type[Section] = Settings, prefix: str = "") -> Iterator[Key]:
    """Every key with its type, default and effect, in file order; `*` stands for a name you choose."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        path = f"{prefix}{field.name}"
        hint = hints[field.name]
        inner = bare(hint)
        if isinstance(inner, type) and issubclass(inner, Section):
            if typing.get_origin(hint) is Annotated and "None" in str(hint):
                yield Key(path, "table", "none", effect_of(hint))
            yield from explain(inner, f"{path}.")
        elif (section := section_by_name(inner)) is not None:
            yield Key(path, "tables by name", "{}", effect_of(hint))
            yield from explain(section, f"{path}.*.")
        else:
            yield Key(path, kind_of(inner), default_of(field), effect_of(hint))


def section_by_name(kind: Any) -> type[Section] | None:
    """The section type of `dict[str, section]`, else None."""
    if typing.get_origin(kind) is not dict:
        return None
    value = bare(typing.get_args(kind)[1])
    return value if isinstance(value, type) and issubclass(value, Section) else None


def effect_of(hint: Any) -> str:
    return next((m.description or "" for m in typing.get_args(hint)[1:] if isinstance(m, Meta)), "") if typing.get_origin(hint) is Annotated else ""


def kind_of(kind: Any) -> str:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " | ".join("None" if arm is types.NoneType else kind_of(bare(arm)) for arm in typing.get_args(kind))
    return kind.__name__ if isinstance(kind, type) and typing.get_origin(kind) is None else re.sub(r"typing\.", "", str(kind))


def default_of(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return msgspec.json.encode(field.default).decode()
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.json.encode(field.default_factory()).decode()
    return "required"
