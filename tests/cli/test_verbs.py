"""The verbs on a tiny shop, from its files to slates and back."""

import json

import pytest
from msgspec.structs import replace

from vernal import config
from vernal.app import Workspace
from vernal.cli import main
from vernal.rollout.shares import changed
from vernal.serving.traffic import Canary
from vernal.testing.remade import not_a_number, remade


def answer(result):
    status, out, _ = result
    assert status == 0
    return json.loads(out)


def test_init_writes_a_file_that_loads_and_names_the_columns(shop):
    settings = config.load(shop / "vernal.toml")
    assert settings.events.columns.user == "user"
    assert settings.items.attributes == ["shelf"]


def test_init_does_not_replace_a_file_that_is_there(vernal, shop):
    status, _, err = vernal("init", str(shop / "events.csv"))
    assert status == 2
    assert "--force" in err


def test_importing_again_adds_nothing(vernal):
    assert answer(vernal("import", "--json"))["appended"] == 0


def test_a_check_says_what_would_be_dropped_and_touches_nothing(vernal, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("user,item,type,time\nada,i1,view,1700000000\n,i1,view,1700000000\n", encoding="utf-8")
    report = answer(vernal("import", "--check", str(bad), "--json"))
    assert sum(report["files"][0]["dropped"].values()) == 1


@pytest.mark.usefixtures("trained")
def test_a_slate_has_titles_and_sources(vernal):
    slate = answer(vernal("recommend", "reader-1", "-n", "5", "--json"))
    assert len(slate["items"]) == 5
    assert all(item["title"].startswith("A book") and item["sources"] for item in slate["items"])


@pytest.mark.usefixtures("trained")
def test_a_filter_is_obeyed_and_a_wrong_one_is_answered_with_the_nearest(vernal):
    slate = answer(vernal("recommend", "reader-1", "-n", "3", "--filter", "shelf=science", "--json"))
    assert {int(item["item"][5:]) // 10 for item in slate["items"]} == {2}
    status, _, err = vernal("recommend", "reader-1", "--filter", "shelve=science")
    assert (status, "did you mean 'shelf'?" in err) == (2, True)


@pytest.mark.usefixtures("trained")
def test_the_same_question_has_the_same_answer(vernal):
    assert answer(vernal("recommend", "reader-2", "--json"))["items"] == answer(vernal("recommend", "reader-2", "--json"))["items"]


@pytest.mark.usefixtures("trained")
def test_a_reason_is_given_for_every_item_when_asked(vernal):
    slate = answer(vernal("recommend", "reader-1", "-n", "4", "--explain", "--json"))
    _, out, _ = vernal("recommend", "reader-1", "-n", "4", "--explain")
    assert [item["why"]["sentence"][:40] in out for item in slate["items"]] == [True] * 4


@pytest.mark.usefixtures("trained")
def test_an_item_that_is_shown_is_explained_with_its_place(vernal):
    first = answer(vernal("recommend", "reader-3", "--json"))["items"][0]["item"]
    explained = answer(vernal("explain", "reader-3", first, "--json"))
    assert explained["place"] == 1
    assert explained["why"]["sentence"]


@pytest.mark.usefixtures("trained")
def test_an_item_the_user_had_is_not_shown_and_the_reason_is_said(vernal, shop):
    seen = next(line.split(",")[1] for line in (shop / "events.csv").read_text(encoding="utf-8").splitlines() if line.startswith("reader-1,"))
    explained = answer(vernal("explain", "reader-1", seen, "--json"))
    assert explained["place"] is None
    assert "had it already" in explained["kept_out_by"]


def test_features_of_a_user_and_an_item_have_names_and_values(vernal):
    found = answer(vernal("features", "reader-1", "book-0", "--json"))
    assert found["events"] > 0
    assert set(found) == {"events", "user", "item", "pair"}
    assert any(value for value in found["item"].values())


def test_an_unknown_item_is_refused(vernal):
    status, _, err = vernal("features", "reader-1", "no-such")
    assert (status, "no-such" in err) == (2, True)


@pytest.mark.usefixtures("trained")
def test_releases_show_which_one_is_in_charge(vernal):
    releases = answer(vernal("releases", "--json"))
    assert [release["champion"] for release in releases].count(True) == 1
    assert answer(vernal("releases", releases[0]["name"]))["name"] == releases[0]["name"]


@pytest.mark.usefixtures("trained")
def test_rolling_back_says_before_after_and_how_to_undo_it(vernal):
    vernal("train")
    before = next(release["name"] for release in answer(vernal("releases", "--json")) if release["champion"])
    _, out, _ = vernal("rollback")
    assert f"{before} -> " in out
    assert f"undo: vernal rollback --to {before}" in out
    assert answer(vernal("rollback", "--to", before, "--json"))["after"] == before


@pytest.mark.usefixtures("trained")
def test_training_judges_what_it_made_and_the_verdict_is_shown(vernal):
    releases = answer(vernal("releases", "--json"))
    champion = next(release for release in releases if release["champion"])
    assert champion["verdict"] == "passed"
    assert answer(vernal("releases", champion["name"]))["certificate"]["verdict"] == "passed"


@pytest.mark.usefixtures("trained")
def test_the_gate_prints_each_check_with_its_figure_and_promotes_nothing(vernal):
    before = answer(vernal("releases", "--json"))
    status, out, _ = vernal("gate", before[0]["name"])
    assert status in (0, 1)
    assert {"integrity", "finite", "latency"} <= set(out.split())
    assert [release["champion"] for release in answer(vernal("releases", "--json"))] == [release["champion"] for release in before]


def test_what_the_gate_refuses_is_promoted_only_in_spite_of_it(trained, vernal):
    with Workspace.open(trained / "vernal.toml") as workspace:
        before = workspace.releases.champion()
        bad = remade(workspace.releases, before, lambda content: not_a_number(content, 0))
    assert vernal("promote", bad)[0] == 1
    assert vernal("gate", bad)[0] == 1
    status, _, err = vernal("promote", bad)
    assert (status, "finite scores" in err) == (1, True)
    assert answer(vernal("promote", bad, "--in-spite-of-the-gate", "to see it fail", "--json"))["after"] == bad
    assert answer(vernal("rollback", "--to", before, "--json"))["after"] == before


def test_rolling_back_with_nothing_before_is_an_error(tmp_path, capsys):
    (tmp_path / "vernal.toml").write_text("", encoding="utf-8")
    assert main(["rollback", "--config", str(tmp_path / "vernal.toml")]) == 3
    assert "vernal train" in capsys.readouterr().err


def test_the_doctor_finds_a_flipped_byte_in_the_release_in_charge(trained, vernal):
    status, out, _ = vernal("doctor")
    assert (status, "BAD" in out) == (0, False)
    name = next(release["name"] for release in answer(vernal("releases", "--json")) if release["champion"])
    file = next((trained / "data" / "releases" / name).glob("*.npy"))
    content = bytearray(file.read_bytes())
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    status, out, _ = vernal("doctor")
    file.write_bytes(content)
    assert (status, "sha256" in out) == (3, True)


def test_a_key_is_shown_once_and_its_hash_is_listed(vernal):
    made = answer(vernal("keys", "add", "--name", "shop", "--scope", "serve", "--json"))
    _, listed, _ = vernal("keys", "list")
    assert made["key"] not in listed
    assert "shop" in listed
    identity = made["key"].split("_")[1]
    assert answer(vernal("keys", "revoke", identity, "--json")) == {"revoked": identity}


def test_a_key_without_a_scope_is_refused(vernal):
    assert vernal("keys", "add")[0] == 2


@pytest.mark.usefixtures("trained")
def test_state_rebuilt_from_the_log_answers_the_same(vernal):
    before = answer(vernal("recommend", "reader-5", "--json"))["items"]
    assert vernal("rebuild")[0] == 0
    assert answer(vernal("rebuild", "--yes", "--json"))["done"]
    assert answer(vernal("recommend", "reader-5", "--json"))["items"] == before


def test_a_dead_letter_is_listed_offered_again_and_thrown_away(vernal, tmp_path):
    bad = tmp_path / "late.csv"
    bad.write_text("user,item,type,time\n,i1,view,1700000000\n", encoding="utf-8")
    vernal("import", str(bad))
    listed = answer(vernal("deadletters", "--json"))
    assert listed["count"] == 1
    status, out, _ = vernal("deadletters", "replay")
    assert (status, "still refused 1" in out) == (1, True)
    assert answer(vernal("deadletters", "clear", "--json")) == {"cleared": 1}


@pytest.mark.usefixtures("trained")
def test_judged_queries_are_answered_by_words_by_meaning_and_by_both(vernal, tmp_path):
    (tmp_path / "judged.tsv").write_text("book volume 7\tbook-6\t1\nvolume 8\tbook-7\t1\nvolume 9\tnothing\t1\n", encoding="utf-8")
    status, out, err = vernal("evaluate", "search", str(tmp_path / "judged.tsv"), "--json")
    found = json.loads(out)
    assert status == 0
    assert found["legs"].keys() == {"words", "meaning", "both"}
    assert found["legs"]["words"]["mrr"] >= 0.5
    assert (found["queries"], found["unknown_items"]) == (3, 1)
    assert "3 queries" in err
    assert "both over words: nDCG@10" in vernal("evaluate", "search", str(tmp_path / "judged.tsv"))[1]


def test_drift_says_what_is_not_as_usual_or_how_much_its_silence_says(vernal):
    status, out, _ = vernal("drift")
    assert status == 0
    assert "smallest lasting shift" in out or "Nothing is watched" in out
    assert set(json.loads(vernal("drift", "--json")[1])) >= {"alarms", "quiet", "caveat", "promise", "spent", "streams"}


@pytest.mark.usefixtures("trained")
def test_the_status_names_the_release_in_charge_and_that_nobody_has_looked_yet(vernal):
    status = answer(vernal("status", "--json"))
    assert [status["in_charge"]["name"]] == [release["name"] for release in answer(vernal("releases", "--json")) if release["champion"]]
    assert (status["looked"], status["decisions"]) == ("", [])
    assert "looks are made while `vernal serve` runs" in vernal("status")[1]


def test_with_no_alarm_there_is_nothing_to_acknowledge(vernal):
    assert vernal("acknowledge", "seen", "--by", "ada")[1].strip() == "no alarm stands"


def test_replay_says_what_each_policy_would_have_done_and_draws_it(vernal, tmp_path):
    status, out, err = vernal("replay", "--every", "12d", "--policy", "frozen", "--policy", "vernal", "--out", str(tmp_path), "--json")
    assert status == 0
    found = json.loads(out)
    assert [row["policy"] for row in found["story"]["outcomes"]] == ["frozen", "vernal"]
    assert len(err.splitlines()) == 2 + len(found["story"]["units"])  # reading, a line per look, the whole
    assert json.loads((tmp_path / "replay.json").read_text()) == found["story"]
    assert (tmp_path / "replay.svg").read_text().startswith("<svg")


def test_replay_of_an_answer_that_was_never_given_says_so(vernal):
    status, _, err = vernal("replay", "--rec-id", "nobody")
    assert status == 2
    assert "a slate in the log" in err


def test_a_canary_is_shown_held_let_go_and_taken_away(vernal, shop):
    with Workspace.open(shop / "vernal.toml") as workspace:
        canary = Canary(release="r0002-new", against="r0001-old", share=0.05, reason="it was trained.")
        changed(workspace, "test", "on trial", lambda traffic: replace(traffic, canary=canary))
    assert "r0002-new meets 5 % of users, against r0001-old" in vernal("canary", "status")[1]
    assert "undo: vernal canary hold --release-hold" in vernal("canary", "hold", "--by", "ada")[1]
    assert "held" in vernal("canary", "status")[1]
    assert "r0002-new goes on" in vernal("canary", "hold", "--release-hold")[1]
    assert "5 % of users -> nobody" in vernal("canary", "abort", "--by", "ada", "--reason", "enough")[1]
    after = answer(vernal("canary", "status", "--json"))
    assert (after["canary"], after["steps"][-1]["by"], after["steps"][-1]["reason"]) == (None, "ada", "enough")
    status, _, err = vernal("canary", "abort")
    assert (status, "expected a release on trial" in err) == (2, True)


def test_an_experiment_is_started_looked_at_and_stopped(vernal):
    ways = ["--variant", "as-is", "--variant", "bold:scenarios.home.temperature=0.5"]
    assert "undo: vernal experiment stop taste" in vernal("experiment", "start", "taste", *ways, "--share", "0.4")[1]
    assert "No traffic yet." in vernal("experiment", "result", "taste")[1]
    assert answer(vernal("experiment", "stop", "taste", "--json"))[0]["name"] == "taste"
    assert "No traffic yet." in vernal("experiment", "result", "taste")[1]
    assert vernal("experiment", "start", "taste", "--variant", "only")[0] == 2


@pytest.mark.usefixtures("trained")
def test_what_another_policy_would_have_earned_is_not_said_without_slates(vernal):
    status, out, _ = vernal("evaluate", "--policy", "scenarios.home.temperature=0.5")
    assert (status, out.split(",")[0]) == (0, "cannot say")
    assert answer(vernal("evaluate", "--policy", "scenarios.home.temperature=0.5", "--json"))["says"] == "cannot say"
    assert vernal("evaluate")[0] == 2
    assert "scenarios.home.heat" in vernal("evaluate", "--policy", "scenarios.home.heat=1")[2]
