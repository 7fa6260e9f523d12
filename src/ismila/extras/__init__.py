"""What few people need: a folder a capability, which can be deleted. The core imports none of them.

Each says in `EXTRA` of its package what it adds (`ismila.plugins`), and pyproject.toml names that
under the entry points `ismila.extras`, as another package would name its own.
"""
