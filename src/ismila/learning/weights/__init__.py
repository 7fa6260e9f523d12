"""Bundled backbone weights; README.md says where they come from."""
