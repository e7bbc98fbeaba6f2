"""Mixup across domains (Xu et al., AAAI 2020, arXiv 1912.01805; Yan et al., arXiv 2001.00677)."""

import torch
from torch import Tensor, nn
from torch.distributions import Beta

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.methods.domains import by_domain
from lookright.methods.method import Method


class Mixup(Method):
    """L = mean over pairs of domains (i, j) of lam CE(f(x), y_i) + (1 - lam) CE(f(x), y_j).

    x = lam x_i + (1 - lam) x_j, lam ~ Beta(concentration, concentration) once for each pair. As in
    DomainBed (arXiv 2007.01434), the domains are put in a random order and each is mixed with the
    next, the last with the first. Images are paired one by one, up to the size of the smaller
    domain. All pairs pass through the network in one batch, which matters for BatchNorm.

    Needs batches of two domains or more: with a single domain, each image would be mixed with
    itself.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        concentration: parameter of the Beta distribution; 0.2 is DomainBed's default (mixup_alpha).

    Raises:
        UserError: a concentration that is not above 0; a batch with fewer than two domains.
    """

    needs_domains = True

    def __init__(self, model: nn.Module, concentration: float = 0.2) -> None:
        super().__init__(model)
        if not concentration > 0:
            raise UserError(f"concentration must be above 0, got {concentration}.")
        self.concentration = concentration

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels
        domains = [*by_domain(batch, "Mixup").values()]
        order = [domains[number] for number in torch.randperm(len(domains)).tolist()]
        pairs = list(zip(order, order[1:] + order[:1], strict=True))
        sizes = [min(len(one), len(other)) for one, other in pairs]
        i = torch.cat([one[:n] for (one, _), n in zip(pairs, sizes, strict=True)])
        j = torch.cat([other[:n] for (_, other), n in zip(pairs, sizes, strict=True)])
        lam = Beta(self.concentration, self.concentration).sample((len(pairs),))
        lam = lam.repeat_interleave(torch.tensor(sizes)).to(x)

        of_image = lam.view(-1, 1, 1, 1)
        logits = self.model(of_image * x[i] + (1 - of_image) * x[j])
        losses = lam * self.cross_entropy(logits, y[i], "none")
        losses = losses + (1 - lam) * self.cross_entropy(logits, y[j], "none")
        return {"mixup": torch.stack([pair.mean() for pair in losses.split(sizes)]).mean()}
