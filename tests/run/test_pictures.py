"""Pictures on disk and in TensorBoard's files are those that were given."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softrl.errors import UserError
from softrl.run import pictures

PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def test_a_png_holds_every_byte() -> None:
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(pictures.encoded(PICTURE)))), PICTURE)


def test_it_appears_whole_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "media" / "100_truth.png"
    pictures.write(path, pictures.encoded(PICTURE))
    assert np.array_equal(np.asarray(Image.open(path)), PICTURE)
    assert [file.name for file in path.parent.iterdir()] == ["100_truth.png"]


def test_a_place_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("a file in the way")
    with pytest.raises(UserError, match="cannot write"):
        pictures.write(tmp_path / "media" / "1.png", b"")
