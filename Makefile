# From a fresh clone to a result: make run, make test. Each does all the set-up it needs, once.

VENV := .venv
BIN := $(VENV)/bin
# Without bytecode of all modules, which takes pip half a minute: what is imported gets it then.
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile

# The Python for .venv; by default the newest of 3.11 to 3.14 that works.
PYTHON ?=
# The CUDA extra to install (cu13 or cu12); by default the one of the driver, or cu13 without a driver.
EXTRA ?=
# If set, make test also runs the tests that are marked long, as .ci/run does.
LONG ?=
# Folder that keeps the builds of the tests for the next make test. If empty, each make test starts without builds.
BUILDS ?= $(CURDIR)/$(VENV)/builds
# More arguments for ptxbench run, such as ARGS="triad --arch sm_80", or for pytest.
ARGS ?=

# Tests start Python hundreds of times: keep bytecode, even where the environment says not to.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run test coverage picture report-picture pages site clean

help:
	@echo "make run             install into $(VENV) if need be, then build, verify and measure every pair"
	@echo "make test            install with the tools if need be, then lint, types and all tests but the long ones"
	@echo "make coverage        run the tests, and count the lines of the package that they execute; fails below the floor"
	@echo "make picture         draw the picture of the README again, from a run on the emulator"
	@echo "make report-picture  draw the pictures of docs/report.md again; needs Chromium"
	@echo "make pages           write figures and listings of docs again, from what the tools make today"
	@echo "make site            build the documentation site below build/site; a warning fails"
	@echo "make clean           remove $(VENV) and what builds and tools left behind"
	@echo
	@echo "PYTHON=/path/to/python3  the Python to make $(VENV) with"
	@echo "EXTRA=cu12               the CUDA wheels to install, instead of what the driver speaks"
	@echo "LONG=1                   the tests that are marked long too, as CI runs them"
	@echo "BUILDS=                  no builds from an earlier make test"
	@echo "ARGS='triad -h'          more arguments, for ptxbench run or for pytest"

run: $(VENV)/ready-to-run
	@$(BIN)/ptxbench run $(ARGS)

test: $(VENV)/ready-to-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PTXBENCH_TEST_CACHE="$(BUILDS)" $(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal --durations 20 $(if $(LONG),-m "") $(ARGS)

# Without builds of an earlier run: what comes from the cache is not executed.
coverage: $(VENV)/ready-to-test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --maxprocesses 4 --dist worksteal $(if $(LONG),-m "") $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered

picture: $(VENV)/ready-to-run
	$(BIN)/python tools/draw_picture.py

report-picture: $(VENV)/ready-to-test
	$(BIN)/python tools/draw_report.py

pages: $(VENV)/ready-to-run
	$(BIN)/python -m tools.kernel_pages
	$(BIN)/python -m tools.counted_pages
	$(BIN)/python -m tools.scoreboard_page
	$(BIN)/python -m tools.page_output

site: $(VENV)/ready-to-test
	$(BIN)/sphinx-build -W --keep-going -q -j 2 docs build/site

clean:
	rm -rf $(VENV) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@tools/make_venv.sh $(VENV) $(PYTHON)

# The stamps are newer than what they were made from, or pip runs again.
$(VENV)/ready-to-run: pyproject.toml tools/cuda_extra.py | $(BIN)/python
	@extra="$(EXTRA)"; extra="$${extra:-$$($(BIN)/python tools/cuda_extra.py)}"; \
	echo "Installing ptxbench $${extra:+with $$extra }into $(VENV). The first time downloads the CUDA wheels."; \
	$(PIP_INSTALL) --editable ".$${extra:+[$$extra]}"
	@touch $@

$(VENV)/ready-to-test: $(VENV)/ready-to-run
	@echo "Installing the tools of development into $(VENV)."
	@$(PIP_INSTALL) 'pip>=25.1'  # the first that knows dependency groups
	@$(PIP_INSTALL) --group dev
	@touch $@
