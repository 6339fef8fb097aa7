# Each target is a line that a person could type; README.md gives the plain commands.
PYTHON ?= python3
RUN = .venv/bin/python

.PHONY: setup demo test
setup: .venv/ready

.venv/ready: requirements.txt requirements-dev.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11 to 3.13 is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install -q -r requirements.txt -r requirements-dev.txt
	$(RUN) -m pip install -q --no-deps 'tinysoundfont>=0.3.6'
	touch $@

demo: setup
	$(RUN) -m pipeline label data/samples
	$(RUN) -m jupyter trust notebooks/*.ipynb
	$(RUN) -m jupyter lab notebooks/07_demo.ipynb $(ARGS)

test: setup
	$(RUN) -m pytest -n 2 -q tests
