"""From a table of photos to a classifier."""
