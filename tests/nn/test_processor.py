"""What the processor can do, as Linux describes it."""

import pytest
import torch

from softrl import train
from softrl.agent.config import AgentConfig
from softrl.nn import processor
from softrl.nn.processor import EXACT, FEW, QUICK, few_rows, multiplies_bfloat16, quicken_products, usual_products
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
    monkeypatch.setattr(processor, "BEFORE", [])
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


@pytest.fixture
def given(tmp_path, monkeypatch, setting):
    """Products are given to oneDNN, as on a processor of AMD's that does not round them."""
    (tmp_path / "cpuinfo").write_text(f"vendor_id\t: {processor.AMD}\n")
    monkeypatch.setattr(processor, "DESCRIPTION", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor, "BEFORE", ["none"])
    setting.fp32_precision = QUICK
    return setting


@pytest.mark.parametrize(("rows", "inside"), [(1, EXACT), (FEW, EXACT), (FEW + 1, QUICK)])
def test_few_rows_are_not_worth_the_start_of_onednn(given, rows, inside):
    with few_rows(rows):
        assert given.fp32_precision == inside
    assert given.fp32_precision == QUICK
    with pytest.raises(ZeroDivisionError), few_rows(rows):
        raise ZeroDivisionError
    assert given.fp32_precision == QUICK


def test_acting_has_the_products_of_a_policy_that_was_loaded(given):
    """`softrl.load` gives no product away: what it predicts is what the agent did in training, to the last bit."""
    agent = AgentConfig().build(Spec({"state": (17,)}, 6))
    obs, answers = {"state": torch.randn(3, 17)}, []
    for again in (quicken_products, usual_products):
        again()
        answers.append(agent.act(obs, {}, deterministic=True)[0])
    assert given.fp32_precision == "none"
    assert torch.equal(*answers)


def test_a_run_leaves_torch_as_it_was(given, tmp_path):
    before, short = torch.get_num_threads(), {"video.every": "never", "env.time_limit": 10}
    train("Pendulum-v1", "sac+tiny", steps=20, threads=before + 1, run=tmp_path / "run", **short)
    assert (given.fp32_precision, torch.get_num_threads()) == ("none", before)
    assert torch.get_float32_matmul_precision() == "highest"


def test_what_the_caller_has_set_stays(given, monkeypatch):
    """Who has asked for products that may be rounded has them, before and after."""
    monkeypatch.setattr(processor, "BEFORE", [])
    quicken_products()
    with few_rows(1):
        assert given.fp32_precision == QUICK
    usual_products()
    assert given.fp32_precision == QUICK
