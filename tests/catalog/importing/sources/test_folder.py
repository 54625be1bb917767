"""A folder of photos as a table."""

from pathlib import Path

import pytest
from readings import read

from catalog.errors import CatalogueError


def test_the_folders_a_photo_lies_in_are_columns(tmp_path: Path) -> None:
    for name in ("b/x/2.JPG", "a/1.png", "a/.hidden.jpg", ".cache/3.jpg", "a/notes.txt", "10.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"photo")
    found = read(tmp_path)
    assert found.columns == ("path", "file", "stem", "folder_1", "folder_2")
    assert found.rows == [
        (1, "10.webp", "10.webp", "10", None, None),
        (2, "a/1.png", "1.png", "1", "a", None),
        (3, "b/x/2.JPG", "2.JPG", "2", "b", "x"),
    ]
    assert found.notes == ("1 file that is no photo left out",)


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"x")
    with pytest.raises(CatalogueError, match="holds no photo"):
        read(tmp_path)
    with pytest.raises(CatalogueError, match="is not a folder"):
        read(tmp_path / "notes.txt", format="folder")
