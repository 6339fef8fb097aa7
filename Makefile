# Each target is a line or two that a person could type; README.md gives the plain commands.
PYTHON ?= python3
RUN = .venv/bin/python

.PHONY: demo app test test-peers lint notebooks recordings youtube-test bench weights animations site

# What a user runs: the demo and the command line.
.venv/ready: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11 to 3.13 is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install -q -r requirements.txt
	touch $@

# What tests, the linter and the corpus need besides.
.venv/dev: .venv/ready requirements-dev.txt requirements-onnx.txt requirements-site.txt
	$(RUN) -m pip install -q -r requirements-dev.txt
	$(RUN) -m pip install -q --no-deps 'tinysoundfont>=0.3.6'
	touch $@

.venv-peers/ready: requirements.txt requirements-dev.txt requirements-peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q -r requirements.txt -r requirements-dev.txt -r requirements-peers.txt
	touch $@

demo: .venv/ready
	$(RUN) -m pipeline label data/samples
	$(RUN) -m jupyter trust notebooks/*.ipynb
	$(RUN) -m jupyter lab notebooks/08_demo.ipynb $(ARGS)

# Voila does not end the kernel of a page that was closed; its server does, after ten minutes of silence. Voila's page links
# style sheets on the web, for which it waits where the network swallows them, and which it can do without: they are refused.
app: .venv/ready
	$(RUN) -m voila notebooks/08_demo.ipynb --TagRemovePreprocessor.remove_cell_tags=notebook-only --MappingKernelManager.cull_interval=60 --MappingKernelManager.cull_idle_timeout=600 --Voila.tornado_settings="{'headers': {'Content-Security-Policy': \"frame-ancestors 'self'; style-src 'self' 'unsafe-inline'\"}}" $(ARGS)

test: .venv/dev
	$(RUN) -m pytest -n 2 --dist loadgroup -q tests

lint: .venv/dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

test-peers: .venv-peers/ready
	.venv-peers/bin/python -m pytest -q tests/peers

notebooks: .venv/dev
	$(RUN) -m pipeline.notebooks $(if $(FAST),--fast)

.venv-peers/keras: .venv-peers/ready
	.venv-peers/bin/python -m pip install -q 'tensorflow>=2.18'
	touch $@

# The page that needs no installation, as static files.
site: .venv/dev
	PYTHONPATH=. $(RUN) site/build.py $(ARGS)

recordings: .venv/ready
	$(RUN) -m pipeline.corpus.recordings

youtube-test: .venv/ready
	$(RUN) -m pipeline.studies.youtube_test

bench: .venv-peers/keras
	.venv-peers/bin/python tests/benchmark.py

weights: .venv/dev
	$(RUN) -m pipeline.learning.weights $(ARGS)

animations: .venv-render/ready
	.venv-render/bin/python -m pytest -q figures/animation/check_scenes.py
	.venv-render/bin/python -m figures.animation.render piano other
	.venv-render/bin/python -m figures.animation.encode piano other

.venv-render/ready: requirements-render.txt
	python3.11 -m venv .venv-render
	.venv-render/bin/python -m pip install -q -r requirements-render.txt
	touch $@
