import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vernal.errors import RequestError
from vernal.evaluation.judgements import Judgements, PerQuery

ITEMS = [f"d{number}" for number in range(160)]
RUN = st.lists(st.sampled_from(ITEMS), max_size=140, unique=True)
RELEVANCE = st.dictionaries(st.sampled_from(ITEMS), st.integers(-1, 4), min_size=1, max_size=30).filter(lambda judged: max(judged.values()) > 0)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(RUN, RELEVANCE), min_size=1, max_size=4))
def test_metrics_agree_with_trec_eval_to_four_digits(queries) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    runs = {str(at): {item: float(len(found) - place) for place, item in enumerate(found)} for at, (found, _) in enumerate(queries) if found}
    judged = {str(at): relevance for at, (_, relevance) in enumerate(queries)}
    theirs = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.100", "recip_rank"}).evaluate(runs)
    ours = PerQuery.of([found for found, _ in queries], [relevance for _, relevance in queries])
    for at in range(len(queries)):
        expected = theirs.get(str(at), {"ndcg_cut_10": 0, "recall_100": 0, "recip_rank": 0})
        assert ours.ndcg_10[at] == pytest.approx(expected["ndcg_cut_10"], abs=5e-5)
        assert ours.recall_100[at] == pytest.approx(expected["recall_100"], abs=5e-5)
        assert ours.reciprocal_rank[at] == pytest.approx(expected["recip_rank"], abs=5e-5)


@given(RELEVANCE)
def test_the_best_list_has_full_marks_and_an_empty_one_none(relevance) -> None:
    best = sorted(relevance, key=lambda item: -relevance[item])
    quality = PerQuery.of([best, []], [relevance, relevance])
    assert quality.ndcg_10 == pytest.approx([1, 0])
    assert quality.reciprocal_rank.tolist() == [1, 0]
    assert quality.recall_100.tolist() == [1, 0]


def test_trec_qrels_take_their_queries_from_the_file_beside(tmp_path) -> None:
    (tmp_path / "queries.tsv").write_text("q1\twhales of the sea\r\nq2\tstars\n", encoding="utf-8")
    (tmp_path / "qrels").write_text("q1 0 d1 1\nq1 0 d2 0\nq2 0 d3 2\n\n", encoding="utf-8")
    found = Judgements.read(tmp_path / "qrels")
    assert found.text == {"q1": "whales of the sea", "q2": "stars"}
    assert found.relevance == {"q1": {"d1": 1}, "q2": {"d3": 2}}


def test_lines_of_query_item_and_relevance_need_no_other_file(tmp_path) -> None:
    (tmp_path / "judged.tsv").write_text("whales of the sea\td1\t1\nwhales of the sea\td2\t3\nstars\td3\t0\n", encoding="utf-8")
    found = Judgements.read(tmp_path / "judged.tsv")
    assert found.relevance == {"whales of the sea": {"d1": 1, "d2": 3}}
    assert found.text == {"whales of the sea": "whales of the sea"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("q1 0 d1 1\n", "queries.tsv beside the file"),
        ("whales\td1\tmuch\n", r"judged:1: got 'whales"),
        ("whales d1\n", "judged:1"),
        ("whales\td1\t0\n", "no relevant item"),
        ("", "no relevant item"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(tmp_path, content, said) -> None:
    (tmp_path / "judged").write_text(content, encoding="utf-8")
    with pytest.raises(RequestError, match=said):
        Judgements.read(tmp_path / "judged")


def test_a_judged_query_without_a_text_is_said(tmp_path) -> None:
    (tmp_path / "queries.tsv").write_text("q1\twhales\n", encoding="utf-8")
    (tmp_path / "judged").write_text("q1 0 d1 1\nq7 0 d1 1\n", encoding="utf-8")
    with pytest.raises(RequestError, match="judged:2: got 'q7'"):
        Judgements.read(tmp_path / "judged")
    with pytest.raises(RequestError, match="readable"):
        Judgements.read(tmp_path / "nothing")


def test_means_of_no_queries_are_nought() -> None:
    assert PerQuery.of([], []).means() == {"ndcg@10": 0.0, "recall@100": 0.0, "mrr": 0.0}
    assert len(PerQuery.of([], []).ndcg_10) == np.int64(0)
