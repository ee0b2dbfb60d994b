"""What lies behind a hand: parts of the user's pictures, or painted places."""
