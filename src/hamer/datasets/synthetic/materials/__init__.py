"""Coloured materials that backgrounds and things are covered with."""
