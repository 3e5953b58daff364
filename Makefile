# SPDX-License-Identifier: Apache-2.0
#
# The two commands are `make run` and `make test`; Meson does the building.

BUILD ?= build
SECONDS ?= 60
MESON = meson setup

.PHONY: all run test bench lint fuzz asan tsan build clang clean deps packages guest-image lab-deps lab-test help

all: build

help:
	@echo "make run              a Manager, this machine as its host, a running machine; Ctrl-C ends it"
	@echo "make test             installs, builds and runs every test that needs one machine"
	@echo "make bench            measures every budget of docs/architecture.md"
	@echo "make lint             formatting, layers, file lengths, forbidden words"
	@echo "make fuzz SECONDS=60  every fuzzer for that long, over its corpus"
	@echo "make asan             the tests under AddressSanitizer and UBSan"
	@echo "make tsan             the tests of threads under ThreadSanitizer"
	@echo "make clang            builds with clang, thread-safety analysis on"
	@echo "make lab-test         the tests on several real hosts (tests/lab)"
	@echo "make lab-deps         installs what the hosts of lab/ need (lab/README.md)"
	@echo "make build            builds only, with what is installed"
	@echo "make packages         Debian packages of Manager, agent and command line, in build/packages"
	@echo "make deps             installs what building and testing need (tools/install-packages)"

deps:
	@tools/install-packages

$(BUILD)/build.ninja:
	@$(MESON) $(BUILD) >$(BUILD)-setup.log 2>&1 || { cat $(BUILD)-setup.log >&2; exit 1; }

packages: deps
	@tools/packages $(BUILD)

build: $(BUILD)/build.ninja
	@ninja --quiet -C $(BUILD)

run: deps
	@exec tools/run

test: deps
	@tools/run-tests --build $(BUILD)

bench: deps build
	@tools/bench --build $(BUILD)

lint:
	@tools/lint

fuzz: deps
	@tools/fuzz --seconds $(SECONDS)

asan: deps
	@tools/run-tests --build build-asan --sanitize address

tsan: deps
	@tools/run-tests --build build-tsan --sanitize thread

clang: deps
	@tools/run-tests --build build-clang --clang --build-only

lab-deps:
	@tools/install-packages --lab

lab-test: lab-deps
	@tools/run-tests --build $(BUILD) --parts lab

guest-image: deps
	@tools/guest-image

clean:
	rm -rf build build-asan build-tsan build-clang build-fuzz build*-setup.log
