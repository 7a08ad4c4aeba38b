"""The training of a supernet by a rule: its gradients and its steps."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

import nas
from nas.build import build
from nas.problem import Problem
from nas.training.rules import Delayed, Moment, Multi, Pass, Sandwich, Sorted, Uniform, extremes
from nas.training.steps import Diverged
from nas.training.stream import Stream
from nas.weights import Supernet
from search_spaces import mobile
from tests.ruled import SEED, SHORT, SHRINK, WIRED, Fixed, carried, same, seeded, session, trained
from tests.trainings import CPU, INFO, TRAIN


def member(step, space=WIRED):
    return space.sample(seeded(step))


def batch():
    return next(iter(Stream(TRAIN, INFO, SHORT, seed=SEED, device=CPU).epoch()))


def gradients(rule, recipe=SHORT):
    """Those of the first step, by the rate that they move the weights at: no momentum, decay or clipping."""
    one = session(rule, replace(recipe, momentum=0.0, weight_decay=0.0, clip=0.0, warmup=0.0, lr=1.0))
    before = {name: value.detach().clone() for name, value in one.supernet.named_parameters()}
    one.step(*batch(), 0)
    return {name: before[name] - value.detach() for name, value in one.supernet.named_parameters()}


def by_hand(*terms):
    """The gradients of a sum of losses: of functions of the supernet, the images and the labels."""
    net = Supernet(WIRED).train()
    torch.autograd.backward(sum(term(net, *batch()) for term in terms))
    return {name: 0 * p if p.grad is None else p.grad for name, p in net.named_parameters()}


def close(a, b):
    return all(torch.allclose(a[name], b[name], atol=2e-6) for name in a)


def on_labels(arch, weight=1.0, part=slice(None)):
    return lambda net, x, y: weight * functional.cross_entropy(net(x[part], arch), y[part], label_smoothing=0.1)


# gradients


def test_gradients_of_passes_are_added_by_their_weights():
    a, b = member(1), member(2)
    rule = Fixed((Pass(a, 0.3), Pass(b, 2.0, labels=0.5)))
    assert close(gradients(rule), by_hand(on_labels(a, 0.3), on_labels(b, 1.0)))


def test_a_sandwich_teaches_its_small_networks_without_labels():
    ends = extremes(Problem(WIRED))

    def taught(arch):
        def term(net, x, y):
            with torch.no_grad():
                soft = net(x, ends.largest).softmax(1)
            return -(soft * net(x, arch).log_softmax(1)).sum(1).mean()

        return term

    passes = Sandwich(3)(Problem(WIRED), None, seeded(0)).passes
    others = [one.arch for one in passes[1:]]
    found = gradients(Fixed(passes))
    assert close(found, by_hand(on_labels(ends.largest), *map(taught, others)))
    assert not close(found, by_hand(on_labels(ends.largest), *map(on_labels, others)))


def test_all_sorted_models_once_are_the_gradient_of_the_mean_loss():
    chain = Sorted(count=4).chain(Problem(WIRED))
    wanted = by_hand(lambda net, x, y: sum(on_labels(a)(net, x, y) for a in chain) / len(chain))
    assert close(gradients(Sorted(count=4, passes=4)), wanted)


def test_the_parts_of_a_batch_make_its_mean_loss():
    some = Multi(2)(Problem(WIRED), None, seeded(0)).passes
    halves = [on_labels(one.arch, 0.5, part) for one, part in zip(some, (slice(8), slice(8, 16)), strict=True)]
    assert close(gradients(Fixed(some)), by_hand(*halves))
    with pytest.raises(nas.UserError, match="16 images cannot be split into 17 parts"):
        gradients(Multi(17))
    with pytest.raises(ValueError, match="cannot teach the others"):
        Pass(some[0].arch, teaches=True, part=(0, 2))


def test_soft_targets_need_a_teacher():
    with pytest.raises(ValueError, match="no pass before it teaches and no weights were kept"):
        gradients(Fixed((Pass(member(1), soft=1.0),)))


# whole trainings


def test_the_full_model_alone_is_ordinary_training_bit_for_bit(tmp_path):
    """One pass of the full model, or a delayed shrinking that never comes, against a plain loop on a plain module."""
    full = extremes(Problem(WIRED)).largest
    module = build(WIRED.network(full), WIRED.input).train()
    first = Supernet(WIRED)
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.copy_(first.weights(full)[name])
    heavy = [p for p in module.parameters() if p.ndim > 1]
    light = [p for p in module.parameters() if p.ndim < 2]
    both = [{"params": heavy, "weight_decay": SHORT.weight_decay}, {"params": light, "weight_decay": 0.0}]
    down = torch.optim.SGD(both, lr=1.0, momentum=0.9, nesterov=True, fused=True)
    stream, step = Stream(TRAIN, INFO, SHORT, seed=SEED, device=CPU), 0
    for _ in range(SHORT.epochs):
        for x, y in stream.epoch():
            for group in down.param_groups:
                group["lr"] = Moment(step, SHORT.epochs * stream.steps, stream.steps, SHORT).rate()
            down.zero_grad()
            functional.cross_entropy(module(x), y, label_smoothing=0.1).backward()
            torch.nn.utils.clip_grad_norm_([*heavy, *light], SHORT.clip)
            down.step()
            step += 1
    assert step == 16
    for n, rule in enumerate((Sorted(count=1, passes=1), Delayed(epsilon=0))):
        net = trained(rule, tmp_path / str(n))
        taken = net.weights(full)
        assert all(torch.equal(taken[name], value) for name, value in module.named_parameters())
    assert not same(net, first)


def test_what_no_pass_uses_is_moved_by_neither_momentum_nor_decay():
    whole, part = (replace_labels(extremes(Problem(WIRED)).largest, op=op) for op in ("conv", "pool"))
    one = session(Fixed((Pass(whole),)), replace(SHORT, weight_decay=0.1))
    x, y = batch()
    one.step(x, y, 0)
    one.rule = Fixed((Pass(part),))
    used = set(one.supernet.weights(part))
    before = {name: value.detach().clone() for name, value in one.supernet.shared.named_parameters()}
    one.step(x, y, 1)
    moved = {n for n, value in one.supernet.shared.named_parameters() if not torch.equal(value, before[n])}
    assert moved == used != set(before)
    for name in set(before) - used:  # it had gained momentum, which waits
        assert one._optimiser.state[one.supernet.shared.get_parameter(name)]["momentum_buffer"].any()


def replace_labels(arch, **labels):
    made = {**arch.labels, **labels}
    return WIRED.decide(lambda c: c.index(made[c.name]))


def test_each_sorted_model_is_a_leading_part_of_the_next():
    """By storage and bounds, for all pairs; taps of kernels lie in the middle."""
    some = mobile((1, 8, 8), 3, widths=(16, 32), multipliers=(0.25, 0.5, 1.0), depths=(1, 2, 3), expands=(1, 2, 3, 4))
    net, chain = Supernet(some), Sorted(count=6).chain(Problem(some))
    taken = [net.weights(arch) for arch in chain]
    assert len(chain) > 3
    for i, small in enumerate(taken):
        for large in taken[i + 1 :]:
            assert set(small) <= set(large)
            for name, inner in small.items():
                outer = large[name]
                assert inner.untyped_storage().data_ptr() == outer.untyped_storage().data_ptr()
                assert inner.stride() == outer.stride()
                offset = inner.storage_offset() - outer.storage_offset()
                starts = []
                for stride in inner.stride():
                    starts.append(offset // stride)
                    offset %= stride
                assert starts[:2] == [0] * len(starts[:2]), name
                pairs = zip(starts[2:], inner.shape[2:], outer.shape[2:], strict=True)
                assert all(2 * start + a == b for start, a, b in pairs)
                assert all(a <= b for a, b in zip(inner.shape, outer.shape, strict=True))


def test_the_teacher_is_kept_once_and_asked_once_a_step(monkeypatch, tmp_path):
    asked, kept = [], []
    given = Supernet.given
    monkeypatch.setattr(Supernet, "given", lambda *of: asked.append(of[3]) or given(*of))
    one = session(SHRINK)
    carried(one, tmp_path, lambda epoch, _: kept.append(one._teacher))
    assert len(asked) == 11  # from step 5 of 16, though later steps have two passes
    arch, weights = kept[-1]
    assert arch == extremes(one.problem).largest
    assert kept[0] is None
    assert all(one is kept[1] for one in kept[1:])
    live = one.supernet.weights(arch)
    assert not any(torch.equal(live[name], value) for name, value in weights.items() if value.ndim == 4)


def test_a_training_that_diverges_says_so_in_one_line(tmp_path):
    with pytest.raises(Diverged, match=r"diverged in epoch \d by step \d+ of 16.*rate below 1e\+18 may help") as caught:
        trained(Uniform(), tmp_path, recipe=replace(SHORT, lr=1e18, clip=0.0, warmup=0.0))
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_seen_at_the_end_of_an_epoch(tmp_path):
    one = session(Uniform(), replace(SHORT, epochs=1))
    unused = next(iter(one.supernet.parameters()))
    step, steps = one.step, []

    def spoilt(*of):
        loss = step(*of)
        steps.append(of)
        if len(steps) == one.stream.steps:
            unused.data.view(-1)[0] = torch.inf
        return loss

    one.step = spoilt
    with pytest.raises(Diverged, match="the weights are not finite"):
        carried(one, tmp_path)


def test_what_a_supernet_cannot_take_of_a_recipe_is_refused():
    for recipe, what in (
        (replace(SHORT, mixup=0.2), "mixup 0.2"),
        (replace(SHORT, scaling="aware"), "scaling aware"),
    ):
        with pytest.raises(nas.UserError, match=f"trained with no {what}"):
            session(Uniform(), recipe)
