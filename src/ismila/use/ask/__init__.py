"""Ask a classifier: about photos, about a whole library."""
