# `make demo` and `make test` set everything up first; both can be the first thing typed in a fresh clone.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)

# The packages of .venv/ are compiled once, where they lie, not in every process of a loop or a test: seconds each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup help demo test test-slow check format docs client pictures lock clean

setup: $(STAMP)  ## install everything into .venv/ (the other targets do it when needed)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python uv==0.13.9 -r requirements.lock
	$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	rm -f $(VENV)/.installed-*
	touch $(STAMP)

demo: setup  ## the whole loop on the embedded sample catalogue, about ten minutes
	$(BIN)/python demo.py

# In the order of their names: xdist would put files of few tests last, and those are the long ones, a worker waiting for each.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: setup  ## every test of up to a second, about ten minutes on two cores
	$(PYTEST) -m "not slow"

test-slow: setup  ## the others: whole trainings, servers, a cluster, a browser; most of an hour
	$(PYTEST) -m slow

check: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup  ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## write docs/reference.md from the code, and docs/scale.md from the results of benchmarks
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_scale.py

client: setup  ## write the Python client's models from the service's OpenAPI document, and its synchronous half
	PYTHONPATH=. $(BIN)/python client/generate.py

pictures: setup  ## take the pictures of the README from the pages of `make demo`; needs Chromium
	$(BIN)/python docs/pictures/make.py

lock:  ## resolve requirements.lock anew
	$(BIN)/python -m uv pip compile --universal --no-emit-index-url --extra dev pyproject.toml -o requirements.lock

clean:  ## remove .venv/, .vitrina/ and caches
	rm -rf $(VENV) .vitrina .mypy_cache .ruff_cache .pytest_cache
