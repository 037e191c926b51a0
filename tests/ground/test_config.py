"""One settings tree: defaults, file, environment, and clear refusals."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vernal.config import Settings, duration_s, explain, load, parse
from vernal.errors import ConfigError


def test_an_empty_file_gives_the_defaults(tmp_path: Path):
    file = tmp_path / "vernal.toml"
    file.write_text("")
    assert load(file, {}) == Settings()


def test_the_environment_overrides_the_file(tmp_path: Path):
    file = tmp_path / "vernal.toml"
    file.write_text("[serving]\nport = 1\n")
    settings = load(file, {"VERNAL_SERVING__PORT": "9", "VERNAL_DATA__PATH": "elsewhere", "VERNAL_OTHER": "x"})
    assert (settings.serving.port, settings.data.path) == (9, "elsewhere")


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"serving": {"prot": 9}}, "did you mean 'port'?"),
        ({"serving": {"port": "x"}}, "serving.port: got 'x'"),
        ({"serving": {"port": 70_000}}, "serving.port: got 70000"),
        ({"features": {"a": {"entity": "user", "count": {"evnt": "v"}}}}, "features.a.count.evnt"),
        ({"retrieval": {"trending": ["soon"]}}, "retrieval.trending: got 'soon'"),
        ({"scenarios": {"home": {"tempreature": 1}}}, "did you mean 'temperature'?"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_path(tree: dict[str, object], words: str):
    with pytest.raises(ConfigError) as caught:
        parse(tree)
    assert words in str(caught.value)


def test_a_missing_or_broken_file_is_a_config_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="vernal init"):
        load(tmp_path / "none.toml", {})
    broken = tmp_path / "broken.toml"
    broken.write_text("= = =")
    with pytest.raises(ConfigError, match="valid TOML"):
        load(broken, {})


def test_every_key_is_explained():
    keys = list(explain())
    assert all(key.effect for key in keys), [key.path for key in keys if not key.effect]
    assert {"serving.port", "events.types.*.weight", "features.*.rate.prior"} <= {key.path for key in keys}


def test_ports_and_paths_do_not_change_the_fingerprint_and_models_do():
    base = Settings()
    moved = parse({"serving": {"port": 1}, "data": {"path": "x"}, "training": {"mlflow": "sqlite:runs.db"}})
    assert base.fingerprint() == moved.fingerprint()
    assert base.fingerprint() != parse({"retrieval": {"ials_dim": 32}}).fingerprint()


@given(st.integers(1, 10_000), st.sampled_from(["s", "m", "h", "d", "w"]))
def test_durations_scale_with_their_unit(count: int, unit: str):
    assert duration_s(f"{count}{unit}") == count * duration_s(f"1{unit}")


def test_an_unknown_scenario_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="did you mean 'home'"):
        Settings().scenario("hom")


def test_settings_survive_a_round_trip():
    assert msgspec.json.decode(msgspec.json.encode(Settings()), type=Settings) == Settings()
