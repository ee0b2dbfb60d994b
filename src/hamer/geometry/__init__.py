"""Rotations, cameras, similarity alignment, boxes and mirroring: pure functions whose leading dimensions are free.

Import from the modules: `rotations`, `cameras`, `intrinsics`, `similarity`, `boxes`, `mirroring`, `directions`. Torch functions
keep dtype and device and are differentiable; `boxes` and `directions` are plain NumPy. Frames, units and joint orders are those of
docs/conventions.md.
"""
