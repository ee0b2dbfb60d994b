"""The outside of a hand as a texture: tones, creases, veins, nails, gloves, on the model's unwrapped skin."""
