"""The stage of unseen inputs: is the answer right, and the explanation the same, when corrupted."""

import torch

from lookright import metrics
from lookright.corruptions import corrupt
from lookright.evaluation.seen import Seen


def corrupted(seen: Seen) -> None:
    """Every corruption at every severity, and the mean over them for each image."""
    right, stable = [], []
    for name, severity in seen.protocol.corrupted:
        images = corrupt(seen.batch.images, name, severity)
        logits, saliency = seen.explain(images)
        right.append(metrics.correct(logits, seen.batch.labels))
        stable.append(
            seen.compared("stability_corrupted", metrics.stability_cosine, images, saliency)
        )
        seen.values[f"corrupted {name} {severity}"] = right[-1]
        seen.values[f"corrupted stability {name} {severity}"] = stable[-1]["stability_corrupted"]
    seen.values["accuracy_corrupted"] = torch.stack(right).float().mean(0)
    for key in stable[0]:
        seen.values[key] = torch.stack([each[key] for each in stable]).mean(0)
