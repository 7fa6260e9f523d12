"""What in an album looks wrong, as a list and as a page on which it is settled."""
