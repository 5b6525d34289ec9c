# Short names for the commands; everything works without make, too.
.PHONY: up test test-all check docs chaos fuzz scene pictures mutation bench bench-full lock package-sizes sbom audit-dependencies release

up:
	./taskmill up

test:
	./scripts/test

test-all:
	./scripts/test --all

check:
	./scripts/test --lint

# Makes the folder `site`; open site/index.html, no server is needed.
docs:
	. ./scripts/environment.sh && prepare_environment "$(CURDIR)" .venv-test test && \
	    NO_MKDOCS_2_WARNING=1 .venv-test/bin/python -m mkdocs build --strict

# How many seeds, as in `make chaos SEEDS=50`, one for each core at a time; a minute or two each.
SEEDS ?= 10

chaos:
	. ./scripts/environment.sh && prepare_environment "$(CURDIR)" .venv-test test && \
	    PYTHONPATH=src .venv-test/bin/python -m tests.chaos --seeds $(SEEDS) $(ARGS)

# A quarter of an hour at most; as in `make fuzz SEED=7 MINUTES=5`, and ARGS="--help" lists the rest.
MINUTES ?= 15

fuzz:
	. ./scripts/environment.sh && prepare_environment "$(CURDIR)" .venv-test test && \
	    PYTHONPATH=src .venv-test/bin/python -m tests.fuzz --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

# A service in trouble with 200,000 tasks, to look at until Ctrl-C; ARGS="--pictures FOLDER" takes a picture of each fact.
scene:
	. ./scripts/environment.sh && prepare_environment "$(CURDIR)" .venv-test test && \
	    PYTHONPATH=src .venv-test/bin/python -m tools.scene $(ARGS)

# Of the README and docs, all or those that are named, as in `make pictures NAMES="overview queues"`.
pictures:
	. ./scripts/environment.sh && prepare_environment "$(CURDIR)" .venv-test test && \
	    .venv-test/bin/python scripts/pictures.py $(NAMES)

# Minutes to hours; as in `make mutation ARGS="domain"`. Interrupt it when you like: it continues.
mutation:
	. ./scripts/environment.sh && prepare_environment "$(CURDIR)" .venv-mutation mutation && \
	    PYTHONPATH= .venv-mutation/bin/python -m tools.mutation $(ARGS)

# Ten minutes; as in `make bench ARGS="noop_drain --quick"`, too.
bench:
	. ./scripts/environment.sh && prepare_environment "$(CURDIR)" .venv-bench bench && \
	    .venv-bench/bin/python -m benchmarks $(ARGS)

# Everything, thoroughly, kept in benchmarks/results; an hour or two, on a machine that does nothing else.
bench-full:
	. ./scripts/environment.sh && prepare_environment "$(CURDIR)" .venv-bench bench && \
	    .venv-bench/bin/python -m benchmarks --full $(ARGS)

lock:
	./scripts/lock

# As in `make package-sizes EXTRAS="worker up"`; it needs an index of packages.
package-sizes:
	. ./scripts/environment.sh && prepare_environment "$(CURDIR)" .venv-test test && \
	    PYTHONPATH=src .venv-test/bin/python -m tools.package_sizes $(EXTRAS)

# Of requirements/$(LOCK).txt: what ./taskmill installs, or with LOCK=traces what an image with traces has.
LOCK ?= run

sbom:
	./scripts/sbom $(LOCK)

audit-dependencies:
	./scripts/audit-dependencies $(LOCK)

# The files of a release in dist/taskmill-VERSION, and the image where docker or podman works; it publishes nothing.
release:
	. ./scripts/environment.sh && prepare_environment "$(CURDIR)" .venv-test test && \
	    PYTHONPATH=src .venv-test/bin/python -m tools.release $(ARGS)
