"""Is it Mila? Train a classifier that recognises one particular pet, and find out how far to trust it."""
