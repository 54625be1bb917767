"""How artifacts are stored: Parquet for tables, plain files for bundles; nothing is pickled.

Each gives a content hash, so that a step is cached by what its inputs hold, not by when they were made.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from zenml.enums import ArtifactType
from zenml.io import fileio
from zenml.materializers.base_materializer import BaseMaterializer

from configs.errors import VitrinaError
from steps.results import Bundle

SAFE_SUFFIXES = (".safetensors", ".json", ".npy", ".parquet", ".md", ".txt", ".onnx", ".png", ".faiss")
"""What a bundle may consist of; .npy is read without pickle, and FAISS's own files hold numbers alone."""


class FrameMaterializer(BaseMaterializer):
    """A pandas table as one Parquet file."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (pd.DataFrame,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: pd.DataFrame) -> None:
        """Write `frame.parquet`."""
        with fileio.open(f"{self.uri}/frame.parquet", "wb") as file:
            data.to_parquet(file, index=False)

    def load(self, data_type: type[pd.DataFrame]) -> pd.DataFrame:
        """Read it back."""
        with fileio.open(f"{self.uri}/frame.parquet", "rb") as file:
            return pd.read_parquet(file)

    def compute_content_hash(self, data: pd.DataFrame) -> str:
        """Digest of columns and cells."""
        digest = hashlib.sha256(repr([(c, str(t)) for c, t in data.dtypes.items()]).encode())
        digest.update(data.to_csv(index=False).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


class BundleMaterializer(BaseMaterializer):
    """A bundle folder, file by file; refuses anything that could hold code."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Bundle,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def save(self, data: Bundle) -> None:
        """Copy every file of the folder."""
        for name, path in data.files().items():
            if path.suffix not in SAFE_SUFFIXES:
                raise VitrinaError(f"bundle {data.path}: {name} may not be stored; allowed: {', '.join(SAFE_SUFFIXES)}")
            target = f"{self.uri}/files/{name}"
            fileio.makedirs(target.rpartition("/")[0])
            fileio.copy(str(path), target, overwrite=True)

    def load(self, data_type: type[Bundle]) -> Bundle:
        """Copy the folder to a temporary one, which is deleted when the step that asked has ended."""
        root = f"{self.uri}/files"
        with self.get_temporary_directory(delete_at_exit=False) as folder:
            for directory, _, names in fileio.walk(root):
                for name in names:
                    source = f"{os.fsdecode(directory)}/{os.fsdecode(name)}"
                    target = Path(folder) / source.removeprefix(f"{root}/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    fileio.copy(source, str(target), overwrite=True)
        return Bundle(Path(folder))

    def compute_content_hash(self, data: Bundle) -> str:
        """Digest of names and contents."""
        digest = hashlib.sha256()
        for name, path in data.files().items():
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()
