"""Bodies behind hands: heads, hair, trunks, legs, and where they go."""
