# For developers; users need only `python3 manage.py demo` and `python3 manage.py test`.
PYTHON := .venv/bin/python

.PHONY: setup fmt lint types test check lock

setup:
	python3 -m mirrorsite.bootstrap dev

fmt: setup
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

lint: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	PYTHONPATH=. .venv/bin/lint-imports
	$(PYTHON) manage.py check
	$(PYTHON) manage.py makemigrations --check --dry-run

types: setup
	$(PYTHON) -m mypy

# Seconds: units and properties.
test: setup
	$(PYTHON) manage.py test tests/unit tests/properties tests/architecture

# All that continuous integration runs.
check:
	bash .ci/run

# After a change of a requirements*.in. --universal: Debian's 3.11.2 needs other packages than 3.11.3.
UV_COMPILE := $(PYTHON) -m uv pip compile --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock" --no-emit-index-url --no-emit-find-links --no-strip-extras --quiet
lock: setup
	$(UV_COMPILE) requirements.in -o requirements.txt
	$(UV_COMPILE) requirements-test.in -o requirements-test.txt
	$(UV_COMPILE) requirements-dev.in -o requirements-dev.txt
