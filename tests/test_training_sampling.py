"""Laws of which images each step sees: balanced, whole, repeatable, shared out, replayed."""

import copy
import math
from collections import Counter
from itertools import chain

import lightning as L
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DistributedSampler

from lookright.data import Split
from lookright.errors import UserError
from lookright.methods import ERM, IRM, RSC, GroupDRO
from lookright.models import SmallResNet
from lookright.training import Run, fit
from lookright.training.sampling import Balanced, Replayed, training_order
from lookright.training.settings import Settings
from test_training import QUICK, Hook, alone, same_weights
from test_training_mistakes import interrupt
from tiny import Blobs, tiny_classifier

DOMAINS = ["train", "other"]


class Uneven(Blobs):
    """As Blobs, with a domain of few images."""

    def keys(self, domain):
        return super().keys(domain)[: self.n if domain == "train" else self.n // 4]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def flat(lists) -> list:
    return list(chain.from_iterable(lists))


# --- The orders ------------------------------------------------------------------------------


@st.composite
def balanced(draw) -> list[Balanced]:
    """The sampler of each process, over domains of any sizes."""
    sizes = draw(st.lists(st.integers(1, 30), min_size=2, max_size=4))
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    members = [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    each, steps = draw(st.integers(2, 5)), draw(st.integers(1, 8))
    seed, processes = draw(st.integers(0, 9)), draw(st.integers(1, 3))
    return [Balanced(members, each, steps, seed, rank, processes) for rank in range(processes)]


def steps_of(sampler: Balanced) -> list[list[list[int]]]:
    """Of each step the samples of each domain."""
    seen, n, each = list(sampler), len(sampler.groups), sampler.each
    assert len(seen) == len(sampler) == len(sampler.numbers) * n * each
    batches = [seen[at : at + n * each] for at in range(0, len(seen), n * each)]
    return [[[i for i in batch if i in of] for of in sampler.groups] for batch in batches]


def through(sampler: Balanced, epochs: int) -> list[list[list[int]]]:
    steps = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        steps += steps_of(sampler)
    return steps


@given(balanced())
def test_each_batch_holds_as_many_of_every_domain(samplers):
    for sampler in samplers:
        for step in steps_of(sampler):
            for share, members in zip(step, sampler.groups, strict=True):
                assert len(share) == sampler.each
                assert set(share) <= set(members)


@given(balanced())
def test_every_sample_comes_in_each_turn_and_the_processes_share_each_step(samplers):
    together = samplers[0].each * len(samplers)
    longest = max(-(-len(members) // together) for members in samplers[0].groups)
    epochs = math.ceil(2 * longest / samplers[0].steps)
    joined = [
        [flat(shares) for shares in zip(*step, strict=True)]
        for step in zip(*(through(sampler, epochs) for sampler in samplers), strict=True)
    ]
    for number, members in enumerate(samplers[0].groups):
        steps = [step[number] for step in joined]
        assert all(len(step) == together for step in steps)
        turn = -(-len(members) // together)
        for first in range(0, len(steps) - turn + 1, turn):
            count = Counter(flat(steps[first : first + turn]))
            assert set(count) == set(members)
            assert max(count.values()) - min(count.values()) <= 1
        for step in steps:
            repeats = max(Counter(step).values())
            assert repeats == math.ceil(together / len(members))


@given(balanced(), st.integers(1, 3))
def test_epochs_go_on_where_the_one_before_ended_whatever_was_drawn_before(samplers, epochs):
    for sampler in samplers:
        of_epochs = through(sampler, epochs)
        sampler.set_epoch(epochs - 1)
        assert steps_of(sampler) == of_epochs[-sampler.steps :]
        sampler.steps *= epochs
        sampler.set_epoch(0)
        assert steps_of(sampler) == of_epochs


def test_the_order_changes_with_the_turn_the_seed_and_the_domain():
    def order(seed: int, epoch: int) -> list[list[list[int]]]:
        sampler = Balanced([range(12), range(12, 24)], each=4, steps=3, seed=seed)
        sampler.set_epoch(epoch)
        return steps_of(sampler)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    assert any([i + 12 for i in one] != other for one, other in order(0, 0))


@given(balanced(), st.integers(2, 4))
def test_a_batch_has_the_same_order_each_time_that_it_comes(samplers, times):
    for sampler in samplers:
        sampler.steps *= times
        sampler.times = times
        seen, size = list(sampler), len(sampler.groups) * sampler.each
        batches = [seen[at : at + size] for at in range(0, len(seen), size)]
        assert batches == [batches[step - step % times] for step in range(len(batches))]


def test_a_place_in_a_batch_says_nothing_of_the_group():
    """Methods pair the images of a batch by their places, or halve it."""
    groups, each, steps = [range(first, first + 40) for first in range(0, 160, 40)], 5, 400
    seen = torch.tensor(list(Balanced(groups, each, steps, seed=0))).view(steps, -1) // 40
    shares = torch.stack([(seen == number).double().mean(0) for number in range(4)])
    assert (shares - 1 / 4).abs().max() < 5 * math.sqrt(3 / 16 / steps)
    neighbours = (seen[:, ::2] == seen[:, 1::2]).double().mean()
    assert abs(neighbours - 4 / 19) < 5 * math.sqrt(0.2 / (steps * 10))


@given(balanced(), st.integers(2, 4))
def test_balanced_batches_can_come_several_times_in_a_row_also_across_epochs(samplers, times):
    for sampler in samplers:
        epochs = through(sampler, 2 * times)
        sampler.times = times
        for epoch in range(2 * times):
            sampler.set_epoch(epoch)
            numbers = range(epoch * sampler.steps, (epoch + 1) * sampler.steps)
            assert steps_of(sampler) == [epochs[step // times] for step in numbers]


@given(balanced(), st.integers(1, 12))
def test_the_last_epoch_is_cut_short(samplers, last):
    for sampler in samplers:
        whole = through(sampler, -(-last // sampler.steps))
        sampler.last = last
        seen = []
        for epoch in range(-(-last // sampler.steps)):
            sampler.set_epoch(epoch)
            seen += steps_of(sampler)
        assert seen == whole[:last]


@given(size=st.integers(1, 40), batch=st.integers(1, 9), times=st.integers(2, 4))
def test_replays_are_the_same_whole_batches_in_a_row(size, batch, times):
    order = DistributedSampler(range(size), num_replicas=1, rank=0)
    batch = min(batch, size)
    replayed = Replayed(copy.deepcopy(order), batch, times)
    for epoch in (0, 1):
        replayed.set_epoch(epoch)
        order.set_epoch(epoch)
        once, seen = list(order), list(replayed)
        assert len(seen) == len(replayed) == len(once) // batch * batch * times
        batches = [seen[at : at + batch] for at in range(0, len(seen), batch)]
        assert batches == [
            once[at : at + batch]
            for at in range(0, len(once) - batch + 1, batch)
            for _ in range(times)
        ]


# --- In a training ---------------------------------------------------------------------------


class Seen(L.Callback):
    """The batches of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[list] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:
            self.epochs.append([])
        self.epochs[-1].append(batch)


class Thrice(ERM):
    replays = 3


def train(run, method=GroupDRO, data=None, **options):
    """A run, and the batches of its epochs."""
    built, seen = method(tiny_classifier()), Seen()
    callbacks = [seen, *options.pop("callbacks", [])]
    settings = QUICK | {"domains": DOMAINS} | options
    return fit(built, data or Uneven(), run=run, callbacks=callbacks, **settings), seen.epochs


def test_methods_that_compare_domains_are_trained_on_balanced_batches(tmp_path):
    run, epochs = train(tmp_path / "run", batch_size=15)
    plain, others = train(tmp_path / "erm", ERM, batch_size=15)
    assert [len(epoch) for epoch in epochs] == [len(epoch) for epoch in others]
    assert run.history[-1]["step"] == plain.history[-1]["step"]
    for epoch in epochs:
        for batch in epoch:
            assert batch.domains.bincount().tolist() == [7, 7]
    few, many = (
        {image.cpu().numpy().tobytes() for b in flat(epochs) for image in b.images[b.domains == d]}
        for d in (1, 0)
    )
    split = Uneven().split(DOMAINS, "train").where
    assert len(few) == sum(domain == "other" for domain, _ in split)
    assert len(many) == min(len(split) - len(few), 7 * sum(map(len, epochs)))


def test_methods_that_compare_none_are_trained_as_ever():
    data = Uneven()
    part = data.split(DOMAINS, "train")
    fitted = settings_of(batch_size=16)
    for method in (ERM, RSC):
        order, batch_size = training_order(part, method(tiny_classifier()), fitted)
        assert type(order) is DistributedSampler
        assert batch_size == 16
    order, batch_size = training_order(Split(data, part.where[:5]), ERM(tiny_classifier()), fitted)
    assert (len(order), batch_size) == (5, 5)


def settings_of(**changes):
    values = dict.fromkeys(Settings.__dataclass_fields__)
    fixed = {"epochs": 1, "validate_every": 1, "lr": 1.0, "weight_decay": 0.0, "warm_up": 0.0}
    fixed |= {"precision": "32-true", "schedule": "cosine", "optimizer": "AdamW", "head_lr": 1.0}
    fixed |= dict.fromkeys(("momentum", "ema", "label_smoothing"), 0.0)
    return Settings(**(values | fixed | {"domains": DOMAINS, "seed": 0} | changes))


def test_a_training_is_the_same_again_and_with_workers(tmp_path):
    run, epochs = train(tmp_path / "run", batch_size=10)
    again, same = train(tmp_path / "again", batch_size=10, workers=2)
    assert same_weights(run.last, again.last)
    for one, other in zip(flat(epochs), flat(same), strict=True):
        assert torch.equal(one.images, other.images)
    other, _ = train(tmp_path / "other", batch_size=10, seed=1)
    assert not same_weights(run.last, other.last)


def test_groupdro_resumes_bit_for_bit_with_its_weights(tmp_path):
    whole, _ = train(tmp_path / "whole")
    with pytest.raises(UserError, match="Stopped after epoch 2 of 3"):
        train(tmp_path / "run", callbacks=[Hook(interrupt, epoch=3)])
    method = GroupDRO(tiny_classifier(seed=3))
    fit(method, Uneven(), DOMAINS, tmp_path / "run", **QUICK, resume=True)
    assert same_weights(Run(tmp_path / "run").last, whole.last)
    kept = torch.load(whole.resumable, weights_only=True)["state_dict"]["method._extra_state"]
    assert torch.equal(method.log_q, kept)
    assert kept.exp().sum().item() == pytest.approx(1)
    assert kept[0] != kept[1]


def test_replays_count_as_steps_of_the_schedule(tmp_path):
    progress = []
    hook = L.Callback()
    hook.on_train_batch_end = lambda trainer, module, *rest: progress.append(module.method.progress)
    once, _ = train(tmp_path / "once", ERM, batch_size=20)
    run, epochs = train(tmp_path / "run", Thrice, batch_size=20, callbacks=[hook])
    steps = 3 * once.history[-1]["step"]
    assert run.history[-1]["step"] == steps
    assert run.history[-1]["lr"] == pytest.approx(0, abs=1e-9)
    assert run.history[0]["lr"] > 1e-4
    assert progress == [step / steps for step in range(int(steps))]
    for epoch in epochs:
        firsts = epoch[::3]
        for at, batch in enumerate(epoch):
            assert torch.equal(batch.images, firsts[at // 3].images)
        assert len({batch.images.cpu().numpy().tobytes() for batch in epoch}) == len(firsts)


def test_two_processes_train_one_model_on_images_of_their_own(tmp_path):
    ended = alone("import test_training_sampling as t; t.train_on_two(run)", tmp_path / "run")
    assert ended.returncode == 0, ended.stderr


class Apart(L.Callback):
    """Fails where two processes have an image in common, or one has another number of a domain."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        assert batch.domains.bincount().tolist() == [4, 4]
        one, other = pl_module.all_gather(batch.images).flatten(2)
        assert (torch.cdist(one, other) > 0).all()


def train_on_two(run):
    method = GroupDRO(tiny_classifier())
    options = QUICK | {"epochs": 1, "batch_size": 8, "accelerator": "cpu", "devices": 2}
    fit(method, Blobs(), DOMAINS, run, **options, strategy="ddp_fork", callbacks=[Apart()])
    kept = Run(run).model("last", SmallResNet(3, width=4)).network.state_dict()
    own = method.model.network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in own.items())


# --- What is refused -------------------------------------------------------------------------


def test_one_domain_is_refused_before_anything_is_written(tmp_path):
    for domains in ("train", ["train"]):
        with pytest.raises(UserError, match=r"IRM compares .* more; got train: .*_domain a,b"):
            train(tmp_path / "run", IRM, domains=domains)
    assert not (tmp_path / "run").exists()
    train(tmp_path / "run", RSC, domains="train", epochs=1)


def test_a_batch_too_small_for_its_domains_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"the 2 training domains.* got batch_size 3: make it 4"):
        train(tmp_path / "run", batch_size=3)
    assert not (tmp_path / "run").exists()
    run, _ = train(tmp_path / "run", batch_size=4, epochs=1)
    assert run.finished
