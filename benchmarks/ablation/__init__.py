"""The parts of `benchmarks/built_in_model.py`."""
