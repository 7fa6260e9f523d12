"""From a table of photos to a classifier: features are cached, heads fitted, decisions chosen."""
