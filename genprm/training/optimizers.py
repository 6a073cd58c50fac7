"""What makes an update of gradients.

A new model learns its matrices with Muon (Jordan et al. 2024, as torch has it, with the step size of Liu et al. 2025,
arXiv 2502.16982) and the rest with AdamW; a model that there is, whole or with adapters, goes on with AdamW.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


def optimizer_for(model: Any, lr: float, weight_decay: float, muon: bool) -> torch.optim.Optimizer:
    """For the weights that are trained. Vectors, and embeddings under Muon, do not decay."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    embeddings = {
        id(layer.weight) for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer is not None
    }
    matrices = [p for _, p in named if p.dim() == 2 and not (muon and id(p) in embeddings)]
    taken = {id(p) for p in matrices}
    others = [p for _, p in named if id(p) not in taken]
    if not muon:
        return _adamw([{"params": matrices, "weight_decay": weight_decay}, {"params": others}], lr)
    turned = torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
    return Both([turned, _adamw([{"params": others}], lr)])


def _adamw(groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    filled = [group for group in groups if group["params"]]
    return torch.optim.AdamW(filled, lr=lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)


class Both(torch.optim.Optimizer):  # type: ignore[misc]
    """Optimizers of different weights as one, so that one schedule and one checkpoint hold them."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self._parts = list(parts)
        super().__init__([group for part in self._parts for group in part.param_groups], {})

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of the parts themselves: whoever sets a learning rate here sets it there."""
        return [group for part in self._parts for group in part.param_groups]

    @param_groups.setter
    def param_groups(self, _: Any) -> None:
        """The base class begins with none of its own."""

    def add_param_group(self, _: Mapping[str, Any]) -> None:
        """The parts have them already."""

    def step(self, closure: Callable[[], float] | None = None) -> None:
        for part in self._parts:
            part.step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self._parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
