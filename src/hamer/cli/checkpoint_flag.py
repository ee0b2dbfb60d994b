"""`--checkpoint`: the words that several commands take for what makes hands 3D, and what they mean."""

from __future__ import annotations

from pathlib import Path

HELP = (
    "what makes hands 3D: a file of HaMeR weights; 'built-in' for the network that comes with hamer, refined by landmarks; "
    "'fit' for landmarks and a fit alone; 'none' for the built-in network, or the fit where it is missing; "
    "'auto' for hamer.ckpt where it is present, else as 'none' (default: %(default)s)"
)
WORDS = ("auto", "none", "built-in", "fit")


def weights_of(checkpoint: str) -> str | Path | None:
    """What the flag means to `HandReconstructor.from_pretrained`: None for the built-in way, "built-in", "fit", or a path."""
    from hamer.assets import find_original

    if checkpoint == "auto":
        return find_original("hamer_checkpoint")
    if checkpoint == "none":
        return None
    return checkpoint if checkpoint in WORDS else Path(checkpoint)
