"""Attention over a grid of tokens that knows how far they lie apart (Shaw et al. 2018, split into rows and columns as in
MViTv2, Li et al. 2022).

What token i finds in token j is scale q_i . k_j + q_i . Th[yi - yj] + q_i . Tw[xi - xj], with two tables of learned
vectors that all heads share. The two terms are two small products, one number for each pair (token, row) and (token,
column); spread over all pairs they would be 1 GB at 64 x 64 tokens and 16 heads, so the sum and its softmax are made for
some tokens at a time. Letters: B windows times heads, S and T rows and columns of tokens, D channels of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

#: Pairs of tokens at once: 8 MB, which stay in a CPU's cache from product to softmax to product; a GPU has 256 MB.
_PAIRS, _PAIRS_ON_GPU = 1 << 21, 1 << 26


def relative_positions(table: Tensor, size: int) -> Tensor:
    """Vectors for every pair of places along an axis: (2 size - 1, D) to (size, size, D), at [i, j] that of i - j.

    A table of another length is resized linearly.
    """
    length = 2 * size - 1
    if len(table) != length:
        table = F.interpolate(table.t()[None], size=length, mode="linear")[0].t()
    place = torch.arange(size, device=table.device)
    return table[place[:, None] - place + size - 1]


def relative_terms(q: Tensor, table_h: Tensor, table_w: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """What unscaled queries (B, S T, D) find in each row and each column: (B, S T, S) and (B, S T, T)."""
    rows, columns = grid
    by_place = q.unflatten(1, grid)
    in_rows = torch.einsum("bstd,sjd->bstj", by_place, relative_positions(table_h, rows).to(q.dtype))
    in_columns = torch.einsum("bstd,tjd->bstj", by_place, relative_positions(table_w, columns).to(q.dtype))
    return in_rows.flatten(1, 2), in_columns.flatten(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor, table_h: Tensor, table_w: Tensor, grid: tuple[int, int]) -> Tensor:
    """Mixed values of a grid of tokens.

    Args:
        q, k, v: (B, S T, D), tokens row by row; q is not scaled yet.
        table_h, table_w: (2 S - 1, D) and (2 T - 1, D).
        grid: S and T.

    Returns:
        (B, S T, D). Products run in the dtype of q, the softmax in float32.
    """
    batch, tokens, depth = q.shape
    in_rows, in_columns = relative_terms(q, table_h, table_w, grid)
    q = q * depth**-0.5
    k = k.transpose(1, 2).contiguous()  # once, where products in lower precision would do it for every part
    result = torch.empty_like(v)
    limit = _PAIRS_ON_GPU if q.is_cuda else _PAIRS
    together = max(1, limit // tokens**2)  # of B
    at_once = max(1, limit // tokens)  # queries of one
    for b in range(0, batch, together):
        some = slice(b, b + together)
        for n in range(0, tokens, at_once):
            part = (some, slice(n, n + at_once))
            logits = add_relative(torch.bmm(q[part], k[some]), in_rows[part], in_columns[part])
            result[part] = torch.bmm(logits.softmax(-1).to(v.dtype), v[some])
    return result


def add_relative(logits: Tensor, in_rows: Tensor, in_columns: Tensor) -> Tensor:
    """Logits (B, N, S T) of N queries plus their terms (B, N, S) and (B, N, T); float32, in place if they are already."""
    grid = (in_rows.shape[-1], in_columns.shape[-1])
    by_place = logits.float().unflatten(-1, grid)
    by_place += in_rows[..., None]
    by_place += in_columns[..., None, :]
    return by_place.flatten(-2)
