# make demo    set up, build, and see the product work on this machine
# make test    set up, build, and run the tests
#
# LIBTORCH=/path/to/torch uses an existing libtorch instead of the wheel that the set-up gets.

SHELL := /bin/bash
SWIFT ?= swift

.PHONY: all setup shim build test test-full demo bench format lint doctor clean

all: build

setup:
	@scripts/setup.sh

shim: setup
	@scripts/build-torch-shim.sh --torch .deps/torch

# The Swift libraries go into the program, so that it needs libtorch and the image codecs only.
build: shim
	@$(SWIFT) build -c release --static-swift-stdlib --product gmail
	@scripts/meteor-data.sh

test: shim
	@scripts/test.sh

# The long runs too: minutes of fuzzing, large parity cases, kill -9 loops.
test-full: shim build
	@GMAIL_TEST_FULL=1 GMAIL_FUZZ_SECONDS=$${GMAIL_FUZZ_SECONDS:-120} scripts/test.sh

demo: build
	@scripts/demo.sh

bench: build
	@Benchmarks/run.sh

doctor: build
	@.build/release/gmail doctor

format:
	@$(SWIFT) format --in-place --parallel --recursive Sources Tests Benchmarks SpiceTrainer Package.swift

lint:
	@$(SWIFT) format lint --strict --parallel --recursive Sources Tests Benchmarks SpiceTrainer Package.swift

clean:
	@rm -rf .build demo
