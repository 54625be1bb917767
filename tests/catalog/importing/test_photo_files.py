import unicodedata
from pathlib import Path

import pytest

from catalog.errors import CatalogueError, ImageError
from catalog.importing.photo_files import PhotoFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    names = [
        "mug.jpg",
        "c/a/cap.jpg",
        "c/b/hat.jpg",
        "d/b/hat.jpg",
        "d/e/hat.jpg",
        "d/mug.jpg",
        "a b.png",
        "12",
        "pair.jpg",
        "pair.png",
    ]
    for name in [*names, unicodedata.normalize("NFD", "Café.jpg")]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    (tmp_path / "secret.jpg").write_bytes(b"")
    (root / "leading-out.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "inside.jpg").symlink_to(root / "mug.jpg")
    (root / "itself.jpg").symlink_to(root / "itself.jpg")
    (root / "outside").symlink_to(tmp_path)
    return root


@pytest.mark.parametrize(
    ("named", "path"),
    [
        ("mug.jpg", "mug.jpg"),
        ("mug.JPG", "mug.jpg"),
        ("mug", "mug.jpg"),
        ("./d/mug.jpg", "d/mug.jpg"),
        ("/c/a/cap.JPG", "c/a/cap.jpg"),
        ("c\\a\\cap.jpg", "c/a/cap.jpg"),
        ("C:\\shop\\photos\\cap.jpg", "c/a/cap.jpg"),
        ("cap.jpg", "c/a/cap.jpg"),
        ("elsewhere/cap.jpg", "c/a/cap.jpg"),
        ("e/hat.jpg", "d/e/hat.jpg"),
        ("https://cdn.example/x/cap.jpg?v=1&w=200#top", "c/a/cap.jpg"),
        ("//cdn.example/d/mug.jpg?v=1", "d/mug.jpg"),
        ("cap.jpg?v=1", "c/a/cap.jpg"),
        ("a%20b.png", "a b.png"),
        ("https://cdn.example/a%20b.png", "a b.png"),
        ("12", "12"),
        ("inside.jpg", "inside.jpg"),
    ],
)
def test_photos_are_found_by_what_a_shop_calls_them(named: str, path: str, folder: Path) -> None:
    assert PhotoFiles.below(folder).find(named) == folder / path


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_unicode_form_makes_no_difference(form: str, folder: Path) -> None:
    found = PhotoFiles.below(folder).find(unicodedata.normalize(form, "Café.jpg"))
    assert found.is_file()


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("none.jpg", "no such file below the image folder"),
        ("hat.jpg", "3 files are called so: c/b/hat.jpg, d/b/hat.jpg, d/e/hat.jpg"),
        ("b/hat.jpg", "2 files are called so"),
        ("pair", "2 files are called so"),
        ("../secret.jpg", "leads out of the image folder"),
        ("c/../../secret.jpg", "leads out of the image folder"),
        ("%2e%2e/secret.jpg", "leads out of the image folder"),
        ("leading-out.jpg", "the link leads out of the image folder"),
        ("outside/secret.jpg", "no such file"),
        ("itself.jpg", "no file"),
        ("c/a", "no such file"),
        ("", "no such file"),
        ("/", "no such file"),
        ("\0", "no such file"),
        ("http://[", "no such file"),
    ],
)
def test_what_is_not_found_says_why(named: str, reason: str, folder: Path) -> None:
    with pytest.raises(ImageError, match=reason):
        PhotoFiles.below(folder).find(named)


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(CatalogueError, match="is not a folder of photos"):
        PhotoFiles.below(folder / "mug.jpg")
