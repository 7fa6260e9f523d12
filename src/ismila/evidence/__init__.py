"""From predictions to figures and pictures."""
