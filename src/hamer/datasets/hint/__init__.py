"""HInt, hands in the wild with 2D joints and occlusion: its files read, completed, verified and drawn."""
