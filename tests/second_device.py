"""A second device that a machine without an accelerator has: torch's own lazy backend."""

import torch
import torch._lazy.ts_backend

torch._lazy.ts_backend.init()  # once in a process, and no more

AWAY = torch.device("lazy")
