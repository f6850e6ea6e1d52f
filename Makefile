# run: serve the tasks in tasks.d on SQLite.  test: every test, on SQLite and on MariaDB.
# soak: the faults of tests/faults for hours.  lint: style and types.  clean: removes what the
# others made.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.PHONY: run test soak lint clean

# Debian keeps servers in /usr/sbin, which is not on every user's path.
export PATH := $(PATH):/usr/sbin:/sbin

PIP_INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# $(call apt_install,PACKAGES) installs Debian packages, through sudo where that is needed.
define apt_install
command -v apt-get >/dev/null || { echo "Please install $(1), then try again." >&2; exit 1; }
as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo
echo "Installing $(1) ..."
$$as_root apt-get -qq update
$$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $(1) </dev/null >/dev/null
endef

# The server's core packages hold the programs and start no service of the system; faketime has
# the library that steps the clock of one process; curl, git, openssl and patch are for commands
# that documents show; the font is one with Chinese in it.
define install_test_programs
missing=
if ! command -v mariadbd >/dev/null || ! command -v mariadb-install-db >/dev/null; then
	missing="mariadb-server-core mariadb-client-core"
fi
for program in curl faketime git openssl patch; do
	command -v "$$program" >/dev/null || missing="$$missing $$program"
done
command -v chromium >/dev/null || missing="$$missing chromium fonts-wqy-microhei"
if [ -n "$$missing" ]; then
	$(call apt_install,$$missing)
fi
endef

run: .venv/run-stamp
	@exec .venv/bin/taskservice run

test: .venv/test-stamp
	@$(install_test_programs)
	.venv/bin/pytest --numprocesses 3 --dist worksteal --cov
	echo "Coverage of the domain:"
	.venv/bin/coverage report --include='taskservice/domain/*' --fail-under=100

# Prints what was done and counted as a table, as it stands in docs/reliability.md.
soak: .venv/test-stamp
	@$(install_test_programs)
	FAULTS_LENGTH=long .venv/bin/pytest tests/faults

lint: .venv/test-stamp
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

clean:
	rm -rf .venv .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	rm -f taskservice.db taskservice.db-* taskservice.db.*
	find taskservice tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/run-stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing taskservice into .venv ..."
	$(PIP_INSTALL) --editable .
	touch $@

.venv/test-stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing taskservice and its test tools into .venv ..."
	$(PIP_INSTALL) --editable '.[test]'
	touch $@ .venv/run-stamp

.venv/bin/python:
	@found=
	for python in python3 python3.14 python3.13 python3.12 python3.11; do
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
			found=$$python
			break
		fi
	done
	if [ -z "$$found" ]; then
		echo "taskservice needs Python 3.11 or newer, and this machine has none." >&2
		exit 1
	fi
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then
		version=$$("$$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
		$(call apt_install,python$$version-venv)
	fi
	"$$found" -m venv --clear .venv
