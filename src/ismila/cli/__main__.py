"""`python -m ismila.cli`."""

from ismila.cli import start

if __name__ == "__main__":
    start()
