"""Records that grow at their end."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from vernal.rollout.records import Lines


class Note(msgspec.Struct, frozen=True):
    text: str


@given(texts=st.lists(st.text(max_size=8), min_size=1, max_size=6), cut=st.integers(1, 40))
def test_a_file_cut_anywhere_keeps_what_was_whole_and_takes_more(tmp_path_factory, texts, cut):
    lines = Lines(tmp_path_factory.mktemp("lines") / "notes.jsonl", Note)
    ends = [0]
    for text in texts:
        lines.append(Note(text))
        ends.append(lines.path.stat().st_size)
    left = max(0, ends[-1] - cut)
    lines.path.write_bytes(lines.path.read_bytes()[:left])
    whole = sum(end - 1 <= left for end in ends[1:])  # a line without its end says all it has to
    lines.append(Note("after"))
    assert [note.text for note in lines.all()] == [*texts[:whole], "after"]
    assert [note.text for note in lines.all(1)] == ["after"]


def test_no_file_is_no_lines(tmp_path):
    assert Lines(tmp_path / "none.jsonl", Note).all() == []
