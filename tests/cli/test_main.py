"""The way from words to an exit status."""

import json

import pytest

from vernal.cli import VERBS, main, parser_of


def test_no_words_list_every_verb(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb} " in out for verb in VERBS)


def test_an_unknown_verb_is_a_usage_error_with_the_nearest_known(capsys):
    assert main(["trian"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean 'train'?" in captured.err


def test_an_unknown_option_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["config", "explain", "--colour"])
    assert stop.value.code == 2
    assert "--colour" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_takes_json(verb):
    known = {text for action in parser_of(verb).documented for text in action.option_strings}
    assert {"--json", "--config", "--help"} <= known
    assert all(action.help for action in parser_of(verb).documented)


def test_a_missing_vernal_toml_is_an_error_with_a_hint(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["releases"]) == 2
    assert "run `vernal init" in capsys.readouterr().err


def test_an_error_with_json_is_json_on_stderr(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["releases", "--json"])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["error"]["code"] == "V100"


def test_the_version_is_that_of_the_package(capsys):
    main(["--version"])
    assert capsys.readouterr().out.startswith("vernal 0.")
