PYTHON ?= python3
BIN := .venv/bin
MADE_FROM := pyproject.toml requirements.lock

.PHONY: env train test test-slow test-image lint measure docs release ui lock

# The environment is made once and again only when what it is made from has changed: a copy of that lies in it.
env:
	@cat $(MADE_FROM) | cmp -s - .venv/made-from || { \
	  set -e; echo "Making the environment in .venv (torch is large: some minutes)"; \
	  $(PYTHON) -m venv .venv; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	  cat $(MADE_FROM) > .venv/made-from; }

train: env
	$(BIN)/python -m ismila.train data=pets

lint: env
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/serving_requirements.py --check

# Three processes for two cores, since tests wait for servers and browsers; a thread each, since threads that wait for each
# other took a third of the time.
TESTS := OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadgroup --durations=12

test: lint
	$(TESTS) -m "not slow" $(COVERAGE)

# What takes more than some seconds each: processes that are killed, sweeps, clusters, browsers. CI runs it after `make test`.
test-slow: env
	$(TESTS) -m slow $(COVERAGE)

# What the Dockerfile says, without Docker: a clean environment, the server in it, its health check, one photo.
test-image: env
	$(BIN)/python tools/test_image.py

# What the style asks for, counted over src/ismila.
measure: env
	$(BIN)/python tools/measure_code.py

# The picture of the layers, from the imports.
docs: env
	$(BIN)/python tools/draw_layers.py

# From a clean, tested tree: dist/ and an annotated tag. Nothing is uploaded.
release: env
	$(BIN)/python tools/release.py --may-i
	$(MAKE) test test-slow
	$(BIN)/python tools/release.py

ui: env
	$(BIN)/ismila ui

# Exact versions of what .venv holds now, without any index address.
lock:
	$(BIN)/python -m pip freeze --exclude-editable --all | grep -v -e '^pip==' > requirements.lock
	$(BIN)/python tools/serving_requirements.py
