"""The network: Hugging Face's numbers, its loss, its optimizer."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ctxshrink.training.config import ModelConfig  # noqa: E402
from ctxshrink.training.llama import Llama, linear_cross_entropy  # noqa: E402
from ctxshrink.training.optim import make_optimizers, orthogonalize, set_rate  # noqa: E402
from tests.scorers.reference import reference_nll  # noqa: E402

SMALL = ModelConfig(
    num_hidden_layers=2,
    hidden_size=32,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=48,
    max_position_embeddings=64,
)


def test_numbers_are_those_of_a_plain_implementation() -> None:
    model = Llama(SMALL, 50, seed=2)
    for p in model.parameters():
        p.data.mul_(8 if p.ndim == 2 else 1)
    ids = torch.randint(0, 50, (1, 40), generator=torch.Generator().manual_seed(1))
    weights = {n: p.detach().numpy() for n, p in model.named_parameters()}
    nll = model.nll(ids[:, :-1], ids[:, 1:])[0].numpy()
    np.testing.assert_allclose(nll, reference_nll(SMALL, weights, ids[0].tolist()), atol=1e-4)
    np.testing.assert_allclose(model.loss(ids[:, :-1], ids[:, 1:]).item(), nll.mean(), atol=1e-4)


def test_the_loss_and_its_gradients_are_those_of_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(70, 16, generator=generator, requires_grad=True)
    weight = torch.randn(30, 16, generator=generator, requires_grad=True)
    targets = torch.randint(0, 30, (70,), generator=generator)
    loss = linear_cross_entropy(hidden, weight, targets, chunk=32)
    found = torch.autograd.grad(loss * 2, (hidden, weight))
    plain = torch.nn.functional.cross_entropy(hidden @ weight.t(), targets)
    expected = torch.autograd.grad(plain * 2, (hidden, weight))
    assert loss.item() == pytest.approx(plain.item(), abs=1e-5)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_the_same_seed_gives_the_same_weights() -> None:
    one, other, third = (dict(Llama(SMALL, 50, seed=s).named_parameters()) for s in (1, 1, 2))
    assert all(torch.equal(one[n], other[n]) for n in one)
    assert not torch.equal(one["model.embed_tokens.weight"], third["model.embed_tokens.weight"])


@pytest.mark.parametrize("shape", [(8, 8), (8, 20), (20, 8)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape: tuple[int, int]) -> None:
    g = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    values = torch.linalg.svdvals(orthogonalize(g).float())
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_both_optimizers_together_hold_every_parameter_once() -> None:
    model = Llama(SMALL, 50)
    optimizers = make_optimizers(model, 0.02, 0.003, 0.0)
    held = [id(p) for o in optimizers for g in o.param_groups for p in g["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    set_rate(optimizers, 0.5)
    set_rate(optimizers, 0.25)
    assert [o.param_groups[0]["lr"] for o in optimizers] == [0.005, 0.00075]
