# Short names for the commands; everything works without make, too.
.PHONY: up test test-all check bench lock

up:
	./taskmill up

test:
	./scripts/test

test-all:
	./scripts/test --all

check:
	./scripts/test --lint

bench:
	. ./scripts/environment.sh && prepare_environment "$(CURDIR)" .venv-bench dev && \
	    .venv-bench/bin/python -m benchmarks $(ARGS)

lock:
	./scripts/lock
