"""docs/reference.md is what the code says."""

import importlib.util
from pathlib import Path

import msgspec
import pytest

from vernal import config
from vernal.cli import VERBS
from vernal.events.schema import Event, Item, User

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_makes_today(maker):
    assert (DOCS / "reference.md").read_text(encoding="utf-8") == maker.page(), "run `python docs/make_reference.py`"


def test_every_setting_verb_and_error_has_its_place(maker):
    page = maker.page()
    assert [key.path for key in config.explain() if f"| `{key.path}` |" not in page] == []
    assert [verb for verb in VERBS if f"### `vernal {verb}`" not in page] == []
    assert [kind.code for kind in maker.descendants(maker.errors.VernalError) if f"| {kind.code} |" not in page] == []


def test_every_field_of_a_record_is_described(maker):
    for kind in (Event, Item, User):
        names = {field.name for field in msgspec.structs.fields(kind)} - {"time", *maker.LEFT_OUT}
        assert {name for name in names if f"| `{name}` |" not in maker.page()} == set()


def test_every_metric_and_alert_has_its_place(maker):
    page = maker.page()
    assert "| `vernal_log_offset` | gauge |" in page
    assert [alert.name for alert in maker.ALERTS if f"| {alert.name} |" not in page] == []
