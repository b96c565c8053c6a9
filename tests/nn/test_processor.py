"""What the processor can do, as Linux describes it."""

import pytest
import torch

from softrl import train
from softrl.agent.config import AgentConfig
from softrl.nn import processor
from softrl.nn.processor import EXACT, FEW, QUICK, few_rows, multiplies_bfloat16, quicken_products
from softrl.types import Spec


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


@pytest.fixture
def setting(monkeypatch):
    """What torch may round products of float32 numbers to; as it was when the test is over."""
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    yield matmul
    matmul.fp32_precision = before


@pytest.mark.parametrize("vendor", ["AuthenticAMD", "GenuineIntel"])
def test_products_stay_products_of_float32(tmp_path, monkeypatch, setting, vendor):
    (tmp_path / "cpuinfo").write_text(f"vendor_id\t: {vendor}\nflags\t\t: fpu\n")
    monkeypatch.setattr(processor, "DESCRIPTION", tmp_path / "cpuinfo")
    before = setting.fp32_precision
    drawn = torch.get_rng_state()
    quicken_products()
    assert torch.equal(torch.get_rng_state(), drawn)
    assert vendor == processor.AMD or setting.fp32_precision == before
    x, y = torch.randn(2, 300, 200), torch.randn(2, 200, 100)
    torch.testing.assert_close(torch.bmm(x, y).double(), torch.bmm(x.double(), y.double()), atol=1e-4, rtol=1e-4)


def test_products_that_would_be_rounded_are_left_as_they_were(tmp_path, monkeypatch, setting):
    (tmp_path / "cpuinfo").write_text(f"vendor_id\t: {processor.AMD}\n")
    monkeypatch.setattr(processor, "DESCRIPTION", tmp_path / "cpuinfo")
    exact, before = torch.Tensor.__matmul__, setting.fp32_precision

    def rounded(x, y):
        return exact(x.bfloat16().float() if x.dtype is torch.float32 else x, y)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    quicken_products()
    assert setting.fp32_precision == before


@pytest.mark.parametrize("given", ["none", QUICK])
@pytest.mark.parametrize(("rows", "exact"), [(1, True), (FEW, True), (FEW + 1, False)])
def test_few_rows_are_not_worth_the_start_of_onednn(setting, given, rows, exact):
    setting.fp32_precision = given
    with few_rows(rows):
        assert setting.fp32_precision == (EXACT if exact and given == QUICK else given)
    assert setting.fp32_precision == given
    with pytest.raises(ZeroDivisionError), few_rows(rows):
        raise ZeroDivisionError
    assert setting.fp32_precision == given


def test_acting_has_the_products_of_a_policy_that_was_loaded(setting):
    """`softrl.load` gives no product away: what it predicts is what the agent did in training, to the last bit."""
    agent = AgentConfig().build(Spec({"state": (17,)}, 6))
    obs, answers = {"state": torch.randn(3, 17)}, []
    for precision in ("none", QUICK):
        setting.fp32_precision = precision
        answers.append(agent.act(obs, {}, deterministic=True)[0])
    assert torch.equal(*answers)


def test_a_run_leaves_torch_as_it_was(setting, tmp_path):
    setting.fp32_precision = QUICK
    before, short = torch.get_num_threads(), {"video.every": "never", "env.time_limit": 10}
    train("Pendulum-v1", "sac+tiny", steps=20, threads=before + 1, run=tmp_path / "run", **short)
    assert (setting.fp32_precision, torch.get_num_threads()) == ("none", before)
    assert torch.get_float32_matmul_precision() == "highest"
