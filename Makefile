# The ways to run, test and measure Isochrome. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run setup test lint simulate differential faults kills histories bench

VENV := .venv
NODE := tests/clients/node
RUST := tests/clients/rust
# Arguments for `isochrome serve`, as in: make run ARGS='--listen 127.0.0.1:9000'
ARGS ?=
# How many random stories `make simulate` and `make differential` play, where it is not for them to say.
SEEDS ?=
# What `make kills` and `make histories` have done stands here, each in a file of its own; without it they begin anew.
PROGRESS := $(CURDIR)/target/campaigns
ROUNDS ?= 300
HISTORIES ?= 300

say = @printf '\n== %s\n' $(1)

help: ## List what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: ## Set up what is missing, then serve with two Chroma servers of its own on 127.0.0.1:8000
	$(call say,'Tools')
	@scripts/need rust cc python optional:node
	$(call say,'A private Python environment with Chroma in $(VENV)')
	@$(MAKE) --silent --no-print-directory $(VENV)/isochrome-ready
	$(call say,'Release build')
	cargo build --release
	$(call say,'Isochrome')
	@ISOCHROME_MANAGED_COMMAND="$${ISOCHROME_MANAGED_COMMAND:-$(CURDIR)/$(VENV)/bin/chroma}" \
		exec cargo run --release --quiet -- serve $(ARGS)

setup: ## Set up what the tests need: Chroma, and its clients for Python, Node and Rust
	@scripts/need rust cc python node
	@$(MAKE) --silent --no-print-directory $(VENV)/isochrome-ready
	@if [ -f $(NODE)/package-lock.json ]; then $(MAKE) --silent --no-print-directory $(NODE)/node_modules/.package-lock.json; fi
	$(call say,'The Rust client of Chroma')
	PROTOC=$(CURDIR)/$(RUST)/protoc CARGO_TARGET_DIR=target/clients-rust cargo build --locked --manifest-path $(RUST)/Cargo.toml

test: setup lint ## Everything that must hold before a change lands
	$(call say,'Tests')
	# One process for all tests of a binary: they share the servers that they start.
	cargo test --no-fail-fast

lint: ## Format, lints, and what may be linked in
	$(call say,'Format')
	cargo fmt --all --check
	$(call say,'Lints')
	cargo clippy --workspace --all-targets -- -D warnings
	$(call say,'Dependencies')
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny --log-level error check bans licenses sources; \
	else \
		echo 'skipped; to have it: cargo install cargo-deny --locked'; \
	fi

simulate: ## Play SEEDS=N random stories in the simulator
	ISOCHROME_SEEDS=$(or $(SEEDS),20000) cargo test --release --test simulator -- --nocapture

differential: setup ## Send SEEDS=N random stories to one Chroma server and to Isochrome
	ISOCHROME_SEEDS=$(or $(SEEDS),2000) cargo test --test differential random -- --nocapture

faults: ## Fail every call of the file system that the log makes, one after the other, in every way
	ISOCHROME_EVERY=1 cargo test --test wal_faults -- --nocapture

kills: setup ## Kill Isochrome ROUNDS=N times under load; goes on where it was ended
	@mkdir -p $(PROGRESS)
	ISOCHROME_ROUNDS=$(ROUNDS) ISOCHROME_PROGRESS=$(PROGRESS)/kills \
		cargo test --test e2e_restart repeated_kill_9 -- --nocapture

histories: setup ## Check HISTORIES=N histories with failover to be linearizable; goes on where it was ended
	@mkdir -p $(PROGRESS)
	ISOCHROME_HISTORIES=$(HISTORIES) ISOCHROME_PROGRESS=$(PROGRESS)/histories \
		cargo test --test e2e_failover histories_of_reads_and_writes -- --nocapture

bench: setup ## Measure, side by side with one Chroma server, HAProxy and nginx
	@scripts/need optional:haproxy optional:nginx
	cargo bench --bench real

# The stamp stands inside of what it speaks of, so that both go together.
$(VENV)/isochrome-ready: scripts/requirements.txt scripts/constraints.txt
	@[ -x $(VENV)/bin/python ] || python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check --progress-bar on -r scripts/requirements.txt
	@touch $@

$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json $(NODE)/package.json
	npm ci --prefix $(NODE) --no-audit --no-fund
	@touch $@
