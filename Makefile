# cfgstore: `make demo` shows it, `make test` proves it. Each target installs what it needs, and may be run again.
SHELL := /bin/bash
CARGO ?= cargo
BUILD := build

.PHONY: help setup setup-test build demo demo-stop test test-php-debug soak bench-php bench-cluster bench fmt clean

help:
	@echo "make demo       a PHP shop on cfgstore: php-fpm, nginx, a watcher, a lock"
	@echo "make demo-stop  ends it"
	@echo "make build      cfgstored, cfgctl, cfgstore.so, libcfgstore.so, libcfgstore.a, Python module, in build/"
	@echo "make test       builds and runs every test, as root (under 25 minutes on 2 cores)"
	@echo "make test-php-debug  the extension's tests in a PHP with threads and the engine's own checks, which it builds first"
	@echo "make soak       the same tests over many more seeds, for hours"
	@echo "make bench      speed of the store, the log and the mirror"
	@echo "make bench-php  what reads, requests and changes cost in PHP, beside peers and targets (some 4 minutes)"
	@echo "make bench-cluster  three members beside three of etcd, under one load (MODE=full: longer, a million keys)"

setup:
	@scripts/setup.sh

setup-test:
	@scripts/setup.sh test

build: setup
	@scripts/build.sh $(BUILD)

demo: build
	@examples/shop/demo.sh start

demo-stop:
	@examples/shop/demo.sh stop

test:
	@scripts/test.sh

soak: setup-test
	@scripts/soak.sh

test-php-debug: setup-test build
	@scripts/test-php-debug.sh

bench-php: setup-test build
	@php-ext/bench/bench.sh

bench-cluster: setup-test build
	@scripts/bench-cluster.sh $(MODE)

bench: setup
	@scripts/bench.sh

fmt:
	@$(CARGO) fmt --all

clean: demo-stop
	@rm -rf $(BUILD) demo
	@$(CARGO) clean
