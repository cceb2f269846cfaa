# `make demo` and `make test` work from a fresh clone with Python 3.10 or newer; README.md has the same in plain lines.
PYTHON ?= python3
BIN := .venv/bin
DEMO := demo_output
RUN := --checkpoint_dir $(DEMO)/checkpoints --log_dir $(DEMO)/logs --run_name demo

.PHONY: demo test lint install

# A second `make demo` renders and trains nothing anew; after an interruption it goes on where it stopped.
demo: .venv/.installed
	$(BIN)/python -m demo --out $(DEMO)/data
	if [ -f $(DEMO)/checkpoints/demo/last/metadata.json ]; then \
	  $(BIN)/python train.py $(RUN) --resume; \
	else \
	  $(BIN)/python train.py $(RUN) --data_dir $(DEMO)/data/vehicles --plate_boxes $(DEMO)/data/plates.csv \
	    --model efficientnet-lite0 --recipe strong --image_size 192 --num_epochs 8 --test_ratio 0.3; \
	fi
	$(BIN)/python evaluate.py --data_dir $(DEMO)/data/vehicles --checkpoint $(DEMO)/checkpoints/demo \
	  --cloned_pairs $(DEMO)/data/cloned_pairs.csv --out $(DEMO)/report
	$(BIN)/python -m demo.three_pairs --data $(DEMO)/data --checkpoint $(DEMO)/checkpoints/demo \
	  --out $(DEMO)/three_pairs.csv
	$(BIN)/python predict.py --checkpoint $(DEMO)/checkpoints/demo --pairs $(DEMO)/three_pairs.csv \
	  --out $(DEMO)/three_answers.csv
	$(BIN)/python -m demo --out $(DEMO)/more --vehicles 24 --cloned_plates 4 --seed 7
	$(BIN)/python -m demo.dirty.build --source $(DEMO)/more --out $(DEMO)/dirty
	$(BIN)/python clean.py run $(DEMO)/dirty/photos --out $(DEMO)/clean --checkpoint_dir $(DEMO)/checkpoints \
	  --orientations --set phash.orientations=true laplacian.threshold=20 label_errors.deviations=1.5 \
	  too_small.min_width=96 too_small.min_height=72
	$(BIN)/python clean.py scan $(DEMO)/dirty/photos --out $(DEMO)/clean_outliers --embedder efficientnet-lite0
	$(BIN)/python clean.py find $(DEMO)/clean_outliers --methods outliers
	$(BIN)/python -m demo.dirty.score --dirty $(DEMO)/dirty --run $(DEMO)/clean $(DEMO)/clean_outliers
	$(BIN)/python augment.py fuse --input_dir $(DEMO)/data/vehicles --output_dir $(DEMO)/fused \
	  --checkpoint_dir $(DEMO)/checkpoints --max_pairs 12 --max_uses 1 --steps 25 --temp_yaml $(DEMO)/temp_fusion.yaml
	@echo "The reports: $(DEMO)/report/report.html and $(DEMO)/clean/report.html; fused photos: $(DEMO)/fused/contact_sheet.png"

test: .venv/.installed-dev
	$(BIN)/python -m pytest

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: .venv/.installed

.venv/.installed: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements.txt requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.txt
	@touch .venv/.installed $@
