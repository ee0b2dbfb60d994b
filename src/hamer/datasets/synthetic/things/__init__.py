"""What hands hold, and what comes between a hand and the camera."""
