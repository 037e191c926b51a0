"""Search by meaning in releases that training makes."""

import msgspec
import numpy as np
import pytest

from vernal.config import Search, Settings
from vernal.errors import ConfigError, EncoderError, RequestError
from vernal.evaluation.search import indexed, texts_of
from vernal.release import Draft, Lineage, Release, ReleaseStore
from vernal.retrieval.clicks import Searched
from vernal.retrieval.fusion import WORDS_ALONE
from vernal.retrieval.semantic import DEFAULTS, LSA, Semantic
from vernal.testing.village import village_settings
from vernal.training.meaning import LEAST_CHOSEN_OF, chosen, put_semantic
from vernal.training.remembering import Remembering
from vernal.training.snapshot import Snapshot


def with_search(**search) -> Settings:
    return msgspec.structs.replace(village_settings(), search=Search(**search))


def made(workspace) -> Semantic | None:
    """What a release of the workspace carries."""
    snapshot, draft = Snapshot.of(workspace), workspace.releases.draft()
    put_semantic(draft, snapshot, workspace, Remembering(workspace.memo, snapshot))
    found = committed(workspace.releases, draft)
    return Semantic.load(found, workspace.encoder)


def committed(store: ReleaseStore, draft: Draft) -> Release:
    return store.commit(draft, Lineage(log_from=1, log_to=2, as_of=3, config="", plan="", code="", seed=0), {})


def test_equal_logs_and_seeds_give_equal_bytes(village) -> None:
    names = set()
    for name in ("one", "two"):
        workspace = village(name, with_search(dim=8))
        snapshot = Snapshot.of(workspace)
        put_semantic(draft := workspace.releases.draft(), snapshot, workspace, Remembering(workspace.memo, snapshot))
        names.add(committed(workspace.releases, draft).name)
    assert len(names) == 1


def test_items_are_found_by_what_their_texts_mean(village) -> None:
    workspace = village(settings=with_search(dim=8))
    semantic, ids = made(workspace), workspace.catalogue().ids
    found = semantic.search(semantic.vector("wine").vector, 20).item.tolist()
    assert len(found) == 20
    assert all(ids[number].startswith("wine") for number in found)
    assert semantic.fusion == DEFAULTS[LSA]


def test_no_encoder_means_words_alone(village) -> None:
    assert made(village(settings=with_search(encoder=""))) is None


def test_the_share_of_the_settings_is_the_weight(village) -> None:
    assert made(village(settings=with_search(dim=8, semantic_share=0.7))).fusion.weight == 0.7


def test_judgements_choose_the_weight_and_too_few_of_them_choose_words(village) -> None:
    workspace = village(settings=with_search(dim=8, judgements="judged.tsv"))
    judged = workspace.root / "judged.tsv"
    judged.write_text("bread\tbread-0\t1\nwine\twine-2\t1\n", encoding="utf-8")
    assert made(workspace).fusion == WORDS_ALONE
    judged.unlink()
    with pytest.raises(RequestError, match=r"judged\.tsv"):
        made(workspace)


def test_many_searches_that_ended_with_a_choice_are_judgements_and_few_are_none() -> None:
    def searched(q: str, *taken: float) -> Searched:
        return Searched(0, q.split(), np.arange(len(taken)), np.ones(len(taken), np.float32), np.array(taken, np.float32), q)

    many = [searched(f"q{number}", 0, 1, 0) for number in range(LEAST_CHOSEN_OF)]
    assert chosen([*many[1:], searched("q1", 0, 1, 1), searched("nothing", 0, 0)], ["a", "b", "c"]) is None
    found = chosen([*many, searched("q1", 0, 1, 1)], ["a", "b", "c"])
    assert found.relevance["q1"] == {"b": 2, "c": 1}
    assert found.text["q7"] == "q7"


def test_an_encoder_that_is_away_leaves_a_release_that_searches_by_words(village, caplog) -> None:
    workspace = village(settings=with_search(encoder="http://127.0.0.1:9/v1/embeddings"))
    assert made(workspace) is None
    assert "words alone" in caplog.text
    with pytest.raises(EncoderError):
        workspace.encoder("http://127.0.0.1:9/v1/embeddings").encode(["sea"])


@pytest.mark.parametrize("name", ["lsi", "onnx:", "ftp://host", "onnx:nowhere"])
def test_an_unknown_encoder_is_said(village, name) -> None:
    with pytest.raises(ConfigError, match=r"search\.encoder"):
        village().encoder(name)


def test_a_catalogue_is_searched_by_its_words(village, tmp_path) -> None:
    workspace = village()
    catalogue = workspace.catalogue()
    lexical, texts = indexed(catalogue, workspace.settings, tmp_path), texts_of(catalogue)
    number = next(number for number, text in enumerate(texts) if text)
    assert number in lexical.search(texts[number], len(texts)).item
