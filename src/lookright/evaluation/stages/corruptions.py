"""The stage of unseen inputs: is the answer right, and the explanation the same, when corrupted."""

import torch

from lookright import metrics
from lookright.corruptions import corrupt
from lookright.evaluation.view import View


def corrupted(view: View) -> None:
    """Every corruption at every severity, and the mean over them for each image."""
    right, stable = [], []
    for name, severity in view.protocol.corrupted:
        images = corrupt(view.batch.images, name, severity)
        logits, saliency = view.explain(images)
        right.append(metrics.correct(logits, view.batch.labels))
        stable.append(
            view.compared("stability_corrupted", metrics.stability_cosine, images, saliency)
        )
        view.values[f"corrupted {name} {severity}"] = right[-1]
        view.values[f"corrupted stability {name} {severity}"] = stable[-1]["stability_corrupted"]
    view.values["accuracy_corrupted"] = torch.stack(right).float().mean(0)
    for key in stable[0]:
        view.values[key] = torch.stack([each[key] for each in stable]).mean(0)
