"""Textured surfaces under lights, drawn with exact truth per pixel: by Numba one at a time, by torch in batches."""
