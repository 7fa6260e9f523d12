"""The drawn demo album."""
