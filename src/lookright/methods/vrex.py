"""Risk extrapolation by variance (V-REx, Krueger et al., ICML 2021, arXiv 2003.00688)."""

from torch import Tensor, nn

from lookright.batch import Batch
from lookright.methods.domains import by_domain, check_penalty, domain_risks
from lookright.methods.method import Method
from lookright.processes import common


class VREx(Method):
    """L = mean_e CE_e(f) + penalty var_e CE_e(f), with e running over the domains.

    As in DomainBed (arXiv 2007.01434), the first term is the mean where the paper has the sum, and
    the variance is divided by the number of domains.

    Needs batches of two domains or more, since the variance of one is 0.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        penalty: weight of the variance after the warm-up (1 before); 10 is DomainBed's default.
        warm_up: share of training; 0.1 is DomainBed's default, 500 of 5000 steps. DomainBed also
            resets Adam after it; here that is left to the training loop.

    Raises:
        UserError: a negative penalty; a warm-up outside [0, 1); a batch with fewer than two
            domains.
    """

    needs_domains = True

    def __init__(self, model: nn.Module, penalty: float = 10.0, warm_up: float = 0.1) -> None:
        super().__init__(model)
        check_penalty(penalty, warm_up)
        self.penalty = penalty
        self.warm_up = warm_up

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        members = by_domain(batch, "VREx")
        losses = self.cross_entropy(self.model(batch.images), batch.labels, "none")
        risks = common(domain_risks(losses, members))
        weight = self.penalty if self.progress >= self.warm_up else 1.0
        return {"clean": risks.mean(), "variance": weight * risks.var(correction=0)}
