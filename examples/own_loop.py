"""EGAT in a training loop of one's own: a method is a module that returns named loss terms."""

import torch

from lookright.data import Shortcut
from lookright.methods import EGAT
from lookright.models import build_model

torch.manual_seed(0)
data = Shortcut(image_size=32)
method = EGAT(build_model("small_resnet", data.classes, data.image_size))
optimizer = torch.optim.AdamW(method.parameters(), lr=2e-3)
for epoch in range(3):
    for batch in data.loader("train", "train", batch_size=64, shuffle=True):
        losses = method(batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    print(epoch, {name: round(term.item(), 3) for name, term in losses.items()})
