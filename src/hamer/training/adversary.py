"""The discriminator's place in a step: it judges the network without being changed, then learns by itself.

It is kept out of wrappers that distribute the network. These expect one backward pass a step through all they hold,
and the discriminator has two; and its 1.3 million gradients are averaged in one small message, where a second pass
through the wrapper would send those of the whole network again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn

from hamer.geometry.rotations import aa_to_rotmat
from hamer.models.discriminator import Discriminator
from hamer.models.losses import discriminator_loss, generator_loss


@contextmanager
def held(module: nn.Module) -> Iterator[None]:
    """Gradients pass through `module` to its input, and none are kept for its parameters."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def judged(discriminator: Discriminator, estimated: Mapping[str, Tensor]) -> Tensor:
    """The generator's adversarial loss: how far `estimated` (`pred_mano_params`) is from being taken for real."""
    with held(discriminator):
        return generator_loss(discriminator(estimated["hand_pose"], estimated["betas"]))


def adversary_loss(
    discriminator: Discriminator, estimated: Mapping[str, Tensor], captured: Mapping[str, Tensor]
) -> Tensor:
    """The discriminator's own loss.

    Args:
        estimated: `hand_pose` (B, 15, 3, 3), `betas` (B, 10); no gradient goes back into them.
        captured: the mocap batch, `hand_pose` (M, 45) axis-angle, `betas` (M, 10); the original's M is 2 B.
    """
    rotations = aa_to_rotmat(captured["hand_pose"].reshape(len(captured["hand_pose"]), -1, 3))
    real = discriminator(rotations, captured["betas"])
    return discriminator_loss(discriminator(estimated["hand_pose"].detach(), estimated["betas"].detach()), real)


def average_gradients(module: nn.Module) -> None:
    """Mean over all processes of the gradients of `module`; nothing to do in a single process."""
    if not _several_processes():
        return
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def start_alike(module: nn.Module) -> None:
    """Give every process the parameters of the first."""
    if _several_processes():
        for parameter in module.parameters():
            distributed.broadcast(parameter.data, 0)


def _several_processes() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
