"""Two-stage detectors in plain PyTorch, for inference: region proposals, then a class and a better box for each."""
