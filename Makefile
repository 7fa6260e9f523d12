PYTHON ?= python3
BIN := .venv/bin

.PHONY: env train test test-image lint ui lock

# The environment is made once and again only when the lock has changed: a copy of the lock lies in it.
env:
	@cmp -s requirements.lock .venv/made-from.lock || { \
	  set -e; echo "Making the environment in .venv (torch is large: some minutes)"; \
	  $(PYTHON) -m venv .venv; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	  cp requirements.lock .venv/made-from.lock; }

train: env
	$(BIN)/python -m ismila.train model=mobilenet data=pets

lint: env
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/serving_requirements.py --check

test: lint
	$(BIN)/pytest -n 2 --dist loadfile

# What the Dockerfile says, without Docker: a clean environment, the server in it, its health check, one photo.
test-image: env
	$(BIN)/python tools/test_image.py

ui: env
	$(BIN)/ismila ui

# Exact versions of what .venv holds now, without any index address.
lock:
	$(BIN)/python -m pip freeze --exclude-editable --all | grep -v -e '^pip==' > requirements.lock
	$(BIN)/python tools/serving_requirements.py
