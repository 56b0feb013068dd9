# A thin veneer: each target calls one script, which says what it does.

.DEFAULT_GOAL := help
.PHONY: help up down purge test test-unit test-live chaos soak bench instructions scale build build-mcp build-mcp-linux mcpb install install-mcp uninstall test-mcp mcp-audit

# rustup's cargo before the distribution's, which may be years older.
export PATH := $(HOME)/.cargo/bin:$(PATH)
# Where install puts things; DESTDIR is for whoever makes a package.
export PREFIX DESTDIR

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## install what is missing, build, prepare Incus, start the daemon, do the main job once
	@scripts/up

down: ## stop what `make up` started and delete its demo; containers, storage and tokens stay
	@scripts/down

purge: ## remove the installation with all its containers, after its name is typed (PURGE=name: not asked)
	@PURGE='$(PURGE)' scripts/purge

test: ## everything that must be green: format, lints, docs, unit tests, and the live suite on a private Incus
	@scripts/test

test-unit: ## the tests that need no Incus and no root
	@scripts/test unit

test-live: ## the live suite, on a private Incus beside the machine's own
	@scripts/test live

test-mcp: ## the MCP server with other people's tools: inspector, SDKs, conformance suite; on a simulated server
	@scripts/test-mcp

mcp-audit: ## what a security scanner and a fuzzer find in the MCP server, on a simulated server; some minutes
	@scripts/mcp-audit

chaos: ## random faults and kills for MINUTES (5) on ENGINE (sim, incus), SEED to repeat one; fails if anything leaks or is lost
	@scripts/chaos

soak: ## all of the random suites for MINUTES (60), with fresh seeds, in memory and on a private Incus; CI runs a small share of them
	@scripts/soak

bench: ## how long things take, against raw Incus and its command in the same run, on a private Incus; writes docs/benchmarks.md
	@scripts/bench --write-docs docs

instructions: ## how many instructions the hot paths take, by callgrind; fails where one takes over 5 % more than is written down
	@scripts/instructions

scale: ## what 10,000 containers cost, on an incusd in memory, or 1,000 on ENGINE=incus: a table, and a failure where it is too much
	@scripts/scale

build: ## build bin/containarium and bin/mcp-server
	@scripts/build

# Without a script, because this one is for every machine that an MCP client runs on, macOS included.
build-mcp: ## build bin/mcp-server alone, on any system that Rust knows
	cargo build --release --locked -p containarium-mcp --bin mcp-server
	@mkdir -p bin
	@install -m 755 "$${CARGO_TARGET_DIR:-target}/release/mcp-server" bin/mcp-server
	@echo bin/mcp-server

build-mcp-linux: ## build a static bin/mcp-server-linux-amd64 (arm64), which runs on any Linux
	@scripts/build-static

mcpb: ## pack bin/containarium.mcpb, which Claude Desktop installs by a double click; needs Node
	@scripts/build-mcpb

install: ## build containarium and install it to /usr/local/bin (PREFIX, DESTDIR; sudo where needed)
	@test "$(CONTAINARIUM_BUILD)" = no || scripts/build containarium
	@scripts/install containarium

install-mcp: ## the same for mcp-server
	@test "$(CONTAINARIUM_BUILD)" = no || $(MAKE) --no-print-directory build-mcp
	@scripts/install mcp-server

uninstall: ## remove both from there
	@scripts/install --remove containarium mcp-server
