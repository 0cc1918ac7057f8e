# make demo    a GRU trained, evaluated, saved and exported on real speech data
# make test    the test suite
# make test-peers    the tests against heavier peers (PyTorch)
# make test-oldest   the core tests on the oldest TensorFlow and Keras
# make lint    ruff
# make native  the native engine built anew, in place
# make wheel   a wheel for this platform, in dist
# make sanitize  the native kernels' own test under the sanitizers
# make bench   every engine beside every peer, some ten minutes
# Everything happens in .venv, which the first of them makes.

PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
OLDEST_PIP := $(OLDEST)/bin/python -m pip --disable-pip-version-check -q

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help demo test test-peers test-oldest native wheel sanitize lint bench clean

help:
	@sed -n 's/^# make/make/p' Makefile

$(VENV)/demo.stamp: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -e ".[cpu,train]"
	@touch $@

# tf_keras requires the distribution `tensorflow`, which pip would install over
# tensorflow-cpu; without its dependencies it takes the TensorFlow that is here.
$(VENV)/test.stamp: $(VENV)/demo.stamp
	$(PIP) install -e ".[cpu,train,test]"
	$(PIP) install --no-deps "tf_keras==$$($(BIN)/python -c \
	  'from importlib.metadata import version; \
	   print(".".join(version("tensorflow-cpu").split(".")[:2]))').*"
	@touch $@

$(VENV)/peers.stamp: $(VENV)/test.stamp
	$(PIP) install -e ".[cpu,train,test,peers]"
	@touch $@

# A run that is complete prints its table again; one that was stopped goes on.
demo: $(VENV)/demo.stamp
	$(BIN)/python -m tf_gru_addon train --config configs/japanese_vowels.yaml \
	  --workdir runs/japanese_vowels --resume

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m "not peer"

test-peers: $(VENV)/peers.stamp
	$(BIN)/python -m pytest -m peer

# TensorFlow 2.16 needs Python 3.12 or earlier.
$(OLDEST)/test.stamp: pyproject.toml setup.py
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST_PIP) install -e ".[train,test]" "tensorflow-cpu==2.16.2" "keras==3.3.3"
	$(OLDEST_PIP) install --no-deps "tf_keras==2.16.*"
	@touch $@

test-oldest: $(OLDEST)/test.stamp
	$(OLDEST)/bin/python -m pytest -m "not peer" tests/layers tests/ops tests/config \
	  tests/datasets tests/serialization_test.py tests/saved_model_test.py \
	  tests/imports_test.py

native: $(VENV)/demo.stamp
	$(PIP) install --no-deps -e .

wheel: $(VENV)/demo.stamp
	$(PIP) wheel --no-deps -w dist .

# Each sanitizer is a build of its own; the address and undefined behaviour ones share.
NATIVE := tf_gru_addon/native
KERNELS := $(addprefix $(NATIVE)/,gru.cc panels.cc schedule.cc pool.cc dispatch.cc)
CXX ?= g++
sanitize:
	@mkdir -p build
	@for kind in address,undefined thread; do \
	  flags="-g -O1 -std=c++17 -Wall -Wextra -pthread -fsanitize=$$kind \
	    -fno-sanitize-recover=all -I$(NATIVE)"; \
	  objects=; \
	  for isa in generic avx2 avx512; do \
	    case $$isa in \
	      generic) architecture= ;; \
	      avx2) architecture="-mavx2 -mfma" ;; \
	      avx512) architecture="-mavx512f -mfma" ;; \
	    esac; \
	    $(CXX) $$flags $$architecture -c $(NATIVE)/kernels_$$isa.cc \
	      -o build/kernels_$$isa.o || exit 1; \
	    objects="$$objects build/kernels_$$isa.o"; \
	  done; \
	  $(CXX) $$flags tests/native/kernels_test.cc $(KERNELS) $$objects \
	    -o build/kernels_test || exit 1; \
	  echo "== $$kind"; \
	  build/kernels_test || exit 1; \
	done

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/peers.stamp
	$(BIN)/python -m benchmarks.engines

clean:
	rm -rf $(VENV) $(OLDEST) build *.egg-info runs
