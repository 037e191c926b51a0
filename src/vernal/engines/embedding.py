"""Embedding endpoints over HTTP, in the form most servers of models speak: `{"model", "input": [text, ...]}` -> `{"data": [{"embedding": [...]}, ...]}`."""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from vernal.errors import EncoderError

KEY = "VERNAL_EMBEDDING_KEY"  # environment: sent as a bearer token
TIMEOUT_S = 20.0
TEXTS = 64  # in one call
MOST_BYTES = 1 << 26  # of one answer


class Row(msgspec.Struct):
    embedding: list[float]
    index: int | None = None


class Rows(msgspec.Struct):
    data: list[Row]


class Endpoint:
    """Implements `Encoder`: asks a server for vectors; nothing is asked before the first text.

    Parameters
    ----------
    url : `http://HOST/v1/embeddings#MODEL`; without `#MODEL` the server's own
    """

    waits = True

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self.url, _, self.model = url.partition("#")
        self.timeout_s, self.fingerprint, self.known_dim = timeout_s, f"endpoint:{url}", 0

    @property
    def dim(self) -> int:
        """As the server answers; asked once."""
        if not self.known_dim:
            self.encode(["a"])
        return self.known_dim

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Encoder`."""
        asked = [row for row, text in enumerate(texts) if text.strip()]
        parts = [self.asked([texts[row] for row in asked[low : low + TEXTS]]) for low in range(0, len(asked), TEXTS)]
        out = np.zeros((len(texts), self.dim if texts else self.known_dim), np.float32)
        if parts:
            out[asked] = np.concatenate(parts)
        return out

    def asked(self, texts: list[str]) -> NDArray[np.float32]:
        """(n, dim) of one call, of unit norm."""
        rows = self.rows(self.answered(msgspec.json.encode({"input": texts} | ({"model": self.model} if self.model else {}))), len(texts))
        dims = {len(row.embedding) for row in rows}
        if len(dims) != 1 or dims == {0} or (self.known_dim and dims != {self.known_dim}):
            raise EncoderError.other_form(self.url, f"vectors of {sorted(dims)} numbers", f"one dimension{f', {self.known_dim}' * bool(self.known_dim)}")
        with np.errstate(over="ignore"):
            found = np.array([row.embedding for row in rows], np.float32)
        if not np.isfinite(found).all():
            raise EncoderError.other_form(self.url, "numbers that are not finite", "vectors")
        self.known_dim = found.shape[1]
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)

    def answered(self, body: bytes) -> bytes:
        head = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {os.environ[KEY]}"} if os.environ.get(KEY) else {})
        request = urllib.request.Request(self.url, body, head)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:
                return bytes(answer.read(MOST_BYTES))
        except urllib.error.HTTPError as error:
            error.close()
            raise EncoderError.away(self.url, f"status {error.code}") from None
        except (OSError, http.client.HTTPException) as error:  # TimeoutError is one too
            raise EncoderError.away(self.url, str(getattr(error, "reason", error)) or type(error).__name__) from None

    def rows(self, body: bytes, n: int) -> list[Row]:
        """The n rows of an answer, in the order asked."""
        try:
            rows = msgspec.json.decode(body, type=Rows).data
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EncoderError.other_form(self.url, str(error), '{"data": [{"embedding": [...]}, ...]}') from None
        if len(rows) != n:
            raise EncoderError.other_form(self.url, f"{len(rows)} vectors", f"{n}, one per text")
        return sorted(rows, key=lambda row: row.index or 0)
