"""From a classifier to answers."""
