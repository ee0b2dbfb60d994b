"""Right hands in poses that hands can take, and where the camera sees them from."""
