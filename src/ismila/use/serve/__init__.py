"""A classifier behind HTTP: the first is-mila's API, a documented one beside it, and the page."""
