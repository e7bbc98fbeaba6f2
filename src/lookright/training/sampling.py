"""Which training images each step sees: everything follows from the seed, epoch and process."""

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch.utils.data import DistributedSampler, Sampler

from lookright.data import Split
from lookright.errors import UserError
from lookright.methods.method import Method
from lookright.methods.wrapper import inner_name
from lookright.seeds import derived_seed
from lookright.training.settings import Settings


class Balanced(Sampler[int]):
    """Batches with `each` samples from every group, in random order, whatever their sizes.

    Groups are domains, classes, or classes of domains. Each is traversed again and again in a new
    random order, across epochs; the last step of such a pass is filled up from its beginning. So
    where a group has at least `each` samples for every process, no sample occurs twice in a step.
    All the data as one group gives passes over them that do not end with an epoch.

    Args:
        groups: the samples of each, as indices into the data.
        each: samples of one group in one step of one process.
        steps: of an epoch.
        seed: of the orders.
        process, processes: the number of this process, and how many processes share a step.
        times: the number of consecutive steps on each batch.
        last: the number of steps of all epochs together, where the last one is cut short.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        each: int,
        steps: int,
        seed: int,
        process: int = 0,
        processes: int = 1,
        times: int = 1,
        last: int | None = None,
    ) -> None:
        self.groups = groups
        self.each = each
        self.steps = steps
        self.seed = seed
        self.process = process
        self.processes = processes
        self.times = times
        self.last = last
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    @property
    def numbers(self) -> range:
        """The numbers of this epoch's steps, counted from the first epoch on."""
        first = self.epoch * self.steps
        return range(first, min(first + self.steps, self.last or first + self.steps))

    def __len__(self) -> int:
        return len(self.numbers) * len(self.groups) * self.each

    def __iter__(self) -> Iterator[int]:
        shares = [self._shares(number) for number in range(len(self.groups))]
        for step, found in zip(self.numbers, zip(*shares, strict=True), strict=True):
            together = [index for share in found for index in share]
            batch = step // self.times
            order = self._order(len(together), "together", batch, self.process)
            yield from (together[at] for at in order)

    def _shares(self, number: int) -> Iterator[list[int]]:
        """This process's samples of one group, step by step."""
        members = self.groups[number]
        together = self.each * self.processes
        steps_of_turn = -(-len(members) // together)
        order: list[int] = []
        for step in self.numbers:
            turn, at = divmod(step // self.times, steps_of_turn)
            if not order or at == 0:
                order = self._order(len(members), number, turn)
            first = at * together + self.process * self.each
            yield [members[order[i % len(members)]] for i in range(first, first + self.each)]

    def _order(self, count: int, *names: object) -> list[int]:
        random = torch.Generator().manual_seed(derived_seed(self.seed, *names))
        return torch.randperm(count, generator=random).tolist()


class Replayed(Sampler[int]):
    """The complete batches of `order`, each repeated `times` times in a row."""

    def __init__(self, order: DistributedSampler, batch_size: int, times: int) -> None:
        self.order = order
        self.batch_size = batch_size
        self.times = times

    def set_epoch(self, epoch: int) -> None:
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order) // self.batch_size * self.batch_size * self.times

    def __iter__(self) -> Iterator[int]:
        order = iter(self.order)
        while len(batch := list(islice(order, self.batch_size))) == self.batch_size:
            for _ in range(self.times):
                yield from batch


def training_order(
    part: Split, method: Method, settings: Settings, process: int = 0, processes: int = 1
) -> tuple[DistributedSampler | Balanced | Replayed, int]:
    """The order in which a process sees the part's samples, and the batch size.

    Batches are balanced over the domains for a method that compares them, or where it is asked for,
    and over the classes where that is asked for; then an epoch has as many steps as for any other
    batches of that size. Every batch is repeated `method.replays` times in a row.
    """
    seed = derived_seed(settings.seed, "order")
    order: DistributedSampler = DistributedSampler(
        part, processes, process, seed=seed, drop_last=len(part) >= processes
    )
    batch_size = min(settings.batch_size, len(order))
    groups = _groups(part, method, settings)
    if groups is None and settings.steps is None:
        if method.replays == 1:
            return order, batch_size
        return Replayed(order, batch_size, method.replays), batch_size
    if groups is None:
        groups, each = [range(len(part))], batch_size
    else:
        each = _total(part, settings) // len(groups)
        if settings.domain_batch_size is not None:
            batch_size = min(each * len(groups), len(order))
    steps = settings.validate_every
    if settings.steps is None:
        steps = len(order) // batch_size * method.replays
    found = Balanced(groups, each, steps, seed, process, processes, method.replays, settings.steps)
    return found, each * len(groups)


def _groups(part: Split, method: Method, settings: Settings) -> Sequence[Sequence[int]] | None:
    """What batches are balanced over, as indices into the part; None if over nothing."""
    by_domain = method.needs_domains or settings.domain_batch_size is not None
    if not by_domain and not settings.balance_classes:
        return None
    names = dict.fromkeys(domain for domain, _ in part.where) if settings.balance_classes else ()
    labels = {domain: part.data.labels(domain) for domain in names}
    members: dict[tuple[str, int], list[int]] = {}
    for index, (domain, at) in enumerate(part.where):
        label = labels[domain][at] if labels else 0
        members.setdefault((domain if by_domain else "", label), []).append(index)
    return [*members.values()]


def _total(part: Split, settings: Settings) -> int:
    """Images of one step of one process, where batches are balanced."""
    domains = {domain for domain, _ in part.where}
    return (
        settings.batch_size
        if settings.domain_batch_size is None
        else (settings.domain_batch_size * len(domains))
    )


def check_classes(part: Split, method: Method, settings: Settings) -> None:
    """Refuse batches too small for an image of each class.

    Raises:
        UserError: so it is.
    """
    if not settings.balance_classes:
        return
    groups, total = _groups(part, method, settings) or (), _total(part, settings)
    if total < len(groups):
        size = "batch_size" if settings.domain_batch_size is None else "domain_batch_size"
        raise UserError(
            f"balance_classes needs a batch of {len(groups)} images or more, one of each class (of "
            f"each domain, where domains are balanced); got {total}: raise {size}."
        )


def check_domains(method: Method, settings: Settings) -> None:
    """Refuse a training from which balanced batches cannot be made.

    Raises:
        UserError: a method that compares domains gets only one, or batches too small for two images
            of each.
    """
    if not method.needs_domains:
        return
    name, domains = inner_name(method), settings.domains
    if len(domains) < 2:
        raise UserError(
            f"{name} compares domains, so it trains on two or more; got {', '.join(domains)}: name "
            "more of them, domains=['a', 'b'] (--train_domain a,b)."
        )
    if settings.domain_batch_size == 1:
        raise UserError(
            f"{name} needs two images or more of each training domain in a batch; got "
            "domain_batch_size 1: make it 2 or more."
        )
    if settings.domain_batch_size is None and settings.batch_size < 2 * len(domains):
        raise UserError(
            f"{name} needs two images or more of each of the {len(domains)} training domains in a "
            f"batch; got batch_size {settings.batch_size}: make it {2 * len(domains)} or more."
        )
