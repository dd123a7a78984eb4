"""What a transformer does between its matrices: beside PyTorch's own, and its gradients beside differences."""

import pytest
import torch
import torch.nn.functional as F

from aigc_demo.nets import fused

RNG = torch.Generator().manual_seed(0)


def numbers(*shape):
    return torch.randn(*shape, generator=RNG, dtype=torch.double)


def turns(count, width):
    angle = numbers(count, width // 2)
    return torch.cat([angle.cos(), angle.cos()], 1), torch.cat([-angle.sin(), angle.sin()], 1)


@pytest.mark.parametrize("weight", [None, numbers(8)], ids=["bare", "weighted"])
def test_a_unit_is_what_pytorch_calls_rms_norm(weight):
    x = numbers(2, 3, 8)
    expected = F.rms_norm(x, (8,), weight, eps=0.0)
    torch.testing.assert_close(fused.unit(x, weight), expected)
    torch.testing.assert_close(fused.unit(x.requires_grad_(), weight), expected)
    assert torch.equal(fused.unit(torch.zeros(2, 8)), torch.zeros(2, 8)), "nothing has no direction"


@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_of_a_unit(weighted):
    weight = [numbers(6).requires_grad_()] if weighted else []
    assert torch.autograd.gradcheck(fused.unit, [numbers(2, 4, 6).requires_grad_(), *weight])


@pytest.mark.parametrize("seen", [None, torch.tensor([True, True, False, True]).expand(5, 4)], ids=["all", "some"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_of_a_step_in_bf16_is_that_of_fp32(seen, dtype):
    q, k, v = (numbers(2, 3, count, 8).to(dtype).requires_grad_() for count in (5, 4, 4))
    expected = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), seen)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = fused.attention(q, k, v, seen)
        assert (q @ k.mT).dtype == torch.bfloat16, "what is around it stays in bf16"
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    found.sum().backward()
    assert v.grad.dtype == dtype
    assert v.grad.isfinite().all()


def test_attention_looks_back_only_where_it_is_told_to():
    q = numbers(1, 2, 5, 8)
    assert torch.equal(fused.attention(q, q, q, causal=True)[..., 0, :], q[..., 0, :])
    assert torch.equal(fused.attention(q, q, q, causal=True), F.scaled_dot_product_attention(q, q, q, is_causal=True))


def test_a_turn_keeps_lengths_is_undone_and_has_its_gradient():
    x, (cos, sin) = numbers(3, 5, 8), turns(5, 8)
    made = fused.turned(x, cos, sin)
    a, b = x.chunk(2, -1)
    torch.testing.assert_close(made[..., :4], a * cos[:, :4] - b * sin[:, 4:])
    torch.testing.assert_close(made.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(fused.turned(made, cos, -sin), x)
    assert torch.autograd.gradcheck(lambda x: fused.turned(x, cos, sin), [x.requires_grad_()])


def test_the_square_of_what_is_above_zero():
    x = numbers(4, 5)
    torch.testing.assert_close(fused.squared(x), F.relu(x).square())
    assert torch.autograd.gradcheck(fused.squared, [x.requires_grad_()])
