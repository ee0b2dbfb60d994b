# Two commands: `make demo` and `make test`. Each does all of its own set-up in .venv, on a fresh machine too.
PYTHON ?= python3
VENV ?= .venv
IMAGES ?= examples/pictures
OUT ?= demo_out
BIN := $(VENV)/bin
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
endif
# What pip is asked for. On Linux its default is the CUDA build (several GB); a machine without a GPU can pass the arguments that
# pytorch.org's selector shows for "CPU": make demo TORCH="torch --index-url ..."
TORCH ?= torch==2.13.0

.PHONY: demo test test-all check benchmarks clean

demo: $(VENV)/.installed
	$(BIN)/hamer fetch hand_landmarker
	-$(BIN)/hamer fetch pose_landmarker
	$(BIN)/hamer demo --img_folder "$(IMAGES)" --out_folder "$(OUT)" --side_view --save_mesh --html
	@echo "Open $(OUT)/ : NAME_all.jpg shows all hands, NAME.html turns them in 3D, docs/formats.md explains the rest."

test: $(VENV)/.installed-dev
	$(BIN)/hamer fetch hand_landmarker
	-$(BIN)/hamer fetch pose_landmarker
	$(BIN)/python -m pytest -m "not slow"

test-all: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmarks: $(VENV)/.installed-dev
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.created
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev,train]'
	touch $@

clean:
	rm -rf $(VENV) $(OUT) dist build
