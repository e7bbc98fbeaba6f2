"""One decision about the device, and models that come back from it."""

from typing import NamedTuple

import pytest
import torch
from torch import nn

from lookright.batch import Batch
from lookright.data.loaders import to_device
from lookright.devices import best_device, borrowed
from lookright.errors import UserError
from second_device import AWAY


class Accelerator(NamedTuple):
    kind: str
    count: int


@pytest.fixture
def machine(monkeypatch):
    """Makes torch say that the machine has these accelerators."""

    def has(found: Accelerator | None) -> None:
        kind = torch.device(found.kind) if found else None
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: found is not None)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: kind)
        monkeypatch.setattr(torch.accelerator, "device_count", lambda: found.count if found else 0)

    return has


TWO = Accelerator("cuda", 2)
ONE = Accelerator("mps", 1)


@pytest.mark.parametrize(
    ("found", "asked", "got"),
    [
        (None, None, "cpu"),
        (TWO, None, "cuda"),
        (ONE, None, "mps"),
        (TWO, "cpu", "cpu"),
        (TWO, "cuda", "cuda"),
        (TWO, "cuda:1", "cuda:1"),
        (TWO, torch.device("cuda", 1), "cuda:1"),
        (ONE, "mps", "mps"),
    ],
)
def test_the_device_is_the_one_asked_for_or_the_first_accelerator(machine, found, asked, got):
    machine(found)
    assert best_device(asked) == torch.device(got)


@pytest.mark.parametrize(
    ("found", "asked", "here"),
    [
        (None, "cuda", "cpu"),
        (TWO, "cuda:2", "cpu, cuda:0, cuda:1"),
        (ONE, "cuda", "cpu, mps:0"),
        (TWO, "meta", "cpu, cuda:0, cuda:1"),
        (TWO, "a fast one", "cpu, cuda:0, cuda:1"),
    ],
)
def test_a_device_that_is_not_there_is_refused(machine, found, asked, here):
    machine(found)
    with pytest.raises(UserError, match=f"one of {here}; got '{asked}'"):
        best_device(asked)


class Network(nn.Module):
    """Parameters with and without gradients, a shared one, buffers, a part on its own device."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout())
        self.body[0].bias.requires_grad_(False)
        self.twin = nn.Linear(4, 4)
        self.twin.weight = self.body[0].weight
        self.register_buffer("scale", torch.arange(3, dtype=torch.float64))
        self.body(torch.rand(5, 4)).sum().backward()


def state(network: nn.Module) -> dict[str, object]:
    tensors = dict(network.named_parameters(remove_duplicate=False)) | dict(network.named_buffers())
    return {
        name: (each.device, each.dtype, each.requires_grad, each.tolist(), each.grad is not None)
        for name, each in tensors.items()
    } | {"training": [each.training for each in network.modules()]}


def places(network: nn.Module) -> set[str]:
    tensors = [*network.parameters(), *network.buffers()]
    return {each.device.type for each in tensors}


def test_what_was_borrowed_comes_back_to_where_it_was():
    network = Network()
    before = state(network)
    with borrowed(network, device=AWAY):
        assert places(network) == {"lazy"}
    assert state(network) == before
    assert network.twin.weight is network.body[0].weight


def test_each_part_comes_back_to_its_own_place():
    network = Network()
    network.body.to(AWAY)
    before = state(network.body[1])
    with borrowed(network, None, device=torch.device("cpu")):
        assert places(network) == {"cpu"}
    assert places(network.body) == {"lazy"}
    assert network.scale.device.type == "cpu"
    assert state(network.body[1]) == before


def test_it_comes_back_after_an_exception_and_with_what_it_learned():
    network, masker = Network(), nn.Linear(2, 2)

    def fail() -> None:
        with borrowed(network, masker, device=AWAY):
            network.body[1].weight.data.mul_(2)
            raise KeyboardInterrupt

    before = network.body[1].weight.clone()
    with pytest.raises(KeyboardInterrupt):
        fail()
    assert places(network) == places(masker) == {"cpu"}
    assert torch.equal(network.body[1].weight, 2 * before)


def test_whoever_moves_it_later_is_undone_too():
    network = Network()
    with borrowed(network):
        assert places(network) == {"cpu"}
        network.to(AWAY)
    assert places(network) == {"cpu"}


def test_where_nothing_moves_nothing_is_touched():
    network = Network()
    pointers = [each.data_ptr() for each in network.state_dict().values()]
    with borrowed(network, device=torch.device("cpu")):
        pass
    assert pointers == [each.data_ptr() for each in network.state_dict().values()]


class Noted(Batch):
    """Notes what is loaded, moved and worked on."""

    log: list[str] = []  # noqa: RUF012

    def to(self, device):
        self.log.append(f"move {int(self.labels)} to {device}")
        return super().to(device)


def test_the_next_batch_is_on_its_way_while_one_is_worked_on():
    Noted.log.clear()
    batches = [Noted(torch.zeros(1, 3, 2, 2).byte(), torch.tensor([at])) for at in range(3)]
    for batch in to_device(batches, torch.device("cpu")):
        assert batch.images.dtype == torch.float32
        Noted.log.append(f"work on {int(batch.labels)}")
    moved, worked = "move {} to cpu", "work on {}"
    assert Noted.log == [
        moved.format(0), moved.format(1), worked.format(0), moved.format(2), worked.format(1),
        worked.format(2),
    ]  # fmt: skip
    assert list(to_device([], torch.device("cpu"))) == []


def test_what_was_read_before_a_failure_is_worked_on_first():
    def broken():
        yield Batch(torch.zeros(1, 3, 2, 2), torch.tensor([0]))
        yield Batch(torch.zeros(1, 3, 2, 2), torch.tensor([1]))
        raise UserError("damaged")

    worked = []
    with pytest.raises(UserError, match="damaged"):
        worked.extend(int(batch.labels) for batch in to_device(broken(), torch.device("cpu")))
    assert worked == [0, 1]


def test_a_batch_crosses_small_and_is_made_float_there():
    levels = torch.arange(12, dtype=torch.uint8).view(1, 3, 2, 2)
    there = Batch(levels, torch.tensor([1])).to(AWAY)
    assert there.images.device.type == "lazy"
    assert torch.equal(there.to("cpu").images, levels.float() / 255)
