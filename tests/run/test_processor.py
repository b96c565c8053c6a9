"""What the processor can do, as Linux describes it."""

import pytest

from softrl.run import processor
from softrl.run.processor import multiplies_bfloat16


@pytest.mark.parametrize(
    ("description", "able"),
    [
        ("model name\t: A\nflags\t\t: fpu avx512f avx512_bf16 \nbogomips\t: 1\n", True),
        ("model name\t: an avx512_bf16 in a name\nflags\t\t: fpu avx512f\n", False),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("model name\t: one that says nothing\n", None),
    ],
)
def test_instructions_are_read_from_the_flags(tmp_path, monkeypatch, description, able):
    (tmp_path / "cpuinfo").write_text(description)
    monkeypatch.setattr(processor, "DESCRIPTION", tmp_path / "cpuinfo")
    assert multiplies_bfloat16() is able


def test_a_system_without_a_description_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "DESCRIPTION", tmp_path / "none")
    assert multiplies_bfloat16() is None
