# What belongs here: the handful of commands that a person types in this directory, each a line or
# two. Anything longer is a script in tools/ or bench/; anything about compiling is in Cargo.toml.

CARGO ?= cargo
export PATH := $(PATH):$(HOME)/.cargo/bin
PREFIX ?= /usr/local

.PHONY: help setup build check test demo bench install

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: ## Install the host packages that rvmb and its tests need (says which)
	tools/setup

build: ## Build the program: target/release/rvmb
	$(CARGO) build --release --locked

check: ## Look at the code: format and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings

test: setup check ## Run all tests, also those that bake and boot machines
	RVMB_TEST_E2E=1 $(CARGO) test --locked

demo: setup build ## Bake a small Debian machine, boot it, say how to log in
	tools/demo

bench: setup build ## Measure rvmb against a plain mmdebstrap pipeline
	bench/run.sh

install: build ## Install the program into $(PREFIX)/bin, also as vmbuilder and ubuntu-vm-builder
	install -D -m 0755 target/release/rvmb $(DESTDIR)$(PREFIX)/bin/rvmb
	cd $(DESTDIR)$(PREFIX)/bin && for name in vmbuilder ubuntu-vm-builder; do \
		if [ -L $$name ] || [ ! -e $$name ]; then ln -sf rvmb $$name; else echo "$$name is another program: left alone"; fi; done
	$(if $(DESTDIR),,tools/apparmor/install $(if $(filter /usr /usr/local,$(PREFIX)),,rvmb-prefix $(PREFIX)/bin/rvmb))
