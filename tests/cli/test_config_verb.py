"""`vernal config explain`."""

import json

from vernal import config
from vernal.cli import main


def test_every_setting_is_explained(capsys):
    assert main(["config", "explain"]) == 0
    out = capsys.readouterr().out
    assert all(f"{key.path} = " in out for key in config.explain())


def test_one_table_can_be_asked_for(capsys):
    main(["config", "explain", "serving", "--json"])
    keys = json.loads(capsys.readouterr().out)
    assert {key["path"].split(".")[0] for key in keys} == {"serving"}


def test_an_unknown_key_is_answered_with_the_nearest(capsys):
    assert main(["config", "explain", "servign"]) == 2
    assert "did you mean 'serving" in capsys.readouterr().err
