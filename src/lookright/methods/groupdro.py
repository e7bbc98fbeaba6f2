"""Group distributionally robust optimisation (GroupDRO, Sagawa et al., ICLR 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.methods.domains import by_domain, domain_risks
from lookright.methods.method import Method
from lookright.processes import common


class GroupDRO(Method):
    """L = sum_e q_e CE_e(f), q_e <- q_e exp(rate CE_e) / sum (algorithm 1 of arXiv 1911.08731).

    e runs over the domains; those with the largest loss get the largest weights q_e. The weights
    start equal and are updated with every training batch. They are part of the method's state, so
    that a resumed training continues with them. A domain that first appears later starts with the
    mean weight.

    Needs batches of two domains or more, since a single one would have all the weight.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        rate: step size of the weights; 0.01 is the default of DomainBed (arXiv 2007.01434).

    Raises:
        UserError: a rate that is not above 0; a batch with fewer than two domains.
    """

    log_q: Tensor
    needs_domains = True

    def __init__(self, model: nn.Module, rate: float = 0.01) -> None:
        super().__init__(model)
        if not rate > 0:
            raise UserError(f"rate must be above 0, got {rate}.")
        self.rate = rate
        self.register_buffer("log_q", torch.empty(0), persistent=False)

    @property
    def q(self) -> Tensor:
        """The weights by the domain's number, 0 for domains not seen yet; they sum to 1."""
        return self.log_q.exp()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        members = by_domain(batch, "GroupDRO")
        risks = domain_risks(
            self.cross_entropy(self.model(batch.images), batch.labels, "none"), members
        )
        log_q = self._moved([*members], common(risks.detach()))
        if self.training:
            self.log_q = log_q
        return {"clean": (log_q[[*members]].exp() * risks).sum()}

    def _moved(self, domains: list[int], risks: Tensor) -> Tensor:
        risks = risks.to(torch.promote_types(risks.dtype, torch.float32))
        missing = max(0, domains[-1] + 1 - len(self.log_q))
        log_q = F.pad(self.log_q.to(risks), (0, missing), value=-torch.inf)
        seen = log_q.isfinite()
        log_q[domains] = torch.where(seen, log_q, -seen.sum().clamp(min=1).log())[domains]
        log_q[domains] += self.rate * risks
        return log_q.log_softmax(0)

    def get_extra_state(self) -> Tensor:
        """The weights; how many there are is not known before training."""
        return self.log_q

    def set_extra_state(self, state: Tensor) -> None:
        self.log_q = state.to(self.log_q)
