"""Draws the demo album: a fresh checkout has something to learn from before it has a photo."""
