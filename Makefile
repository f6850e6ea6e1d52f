# run: serve the tasks in tasks.d on SQLite.  test: every test, on SQLite and on MariaDB.
# check: in two minutes what most changes break, on SQLite, without any other program.
# coverage: test, with the coverage of everything.
# test-mysql: on MySQL what else runs on MariaDB.  soak: the faults of tests/faults for hours.
# lint: style and types.  clean: removes what the others made.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.PHONY: run check test coverage test-mysql soak lint clean

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

# $(call apt_install_servers,PACKAGES): the same for packages that would begin services of the system:
# these are neither started, by Debian's policy-rc.d, nor begun with the machine from then on.
define apt_install_servers
policy=/usr/sbin/policy-rc.d
as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo
made=
if [ ! -e $$policy ]; then
	made=yes
	printf '#!/bin/sh\nexit 101\n' | $$as_root tee $$policy >/dev/null
	$$as_root chmod 755 $$policy
	trap '$$as_root rm -f $$policy' EXIT
fi
$(call apt_install,$(1))
if [ -n "$$made" ]; then
	$$as_root rm -f $$policy
	trap - EXIT
fi
if command -v systemctl >/dev/null; then
	for server in $(1); do
		$$as_root systemctl --quiet disable "$$server" 2>/dev/null || true
	done
fi
endef

# The server's core packages hold the programs and start no service of the system; faketime has
# the library that steps the clock of one process; curl, git, openssl and patch are for commands
# that documents show; gpg and ssh-keygen sign commits; npm has the parser of MySQL's grammar; ip
# (iproute2) makes networks; the font is one with Chinese in it.
define install_test_programs
missing=
if ! command -v mariadbd >/dev/null || ! command -v mariadb-install-db >/dev/null; then
	missing="mariadb-server-core mariadb-client-core"
fi
for program in curl faketime git openssl patch; do
	command -v "$$program" >/dev/null || missing="$$missing $$program"
done
command -v chromium >/dev/null || missing="$$missing chromium fonts-wqy-microhei"
command -v node >/dev/null || missing="$$missing nodejs"
command -v npm >/dev/null || missing="$$missing npm"
command -v ip >/dev/null || missing="$$missing iproute2"
command -v gpg >/dev/null || missing="$$missing gpg gpg-agent"
command -v ssh-keygen >/dev/null || missing="$$missing openssh-client"
if [ -n "$$missing" ]; then
	$(call apt_install,$$missing)
fi
missing=
for program in redis-server rabbitmq-server; do
	command -v "$$program" >/dev/null || missing="$$missing $$program"
done
if [ -n "$$missing" ]; then
	$(call apt_install_servers,$$missing)
fi
if [ tests/mysql_grammar/package-lock.json -nt tests/mysql_grammar/node_modules/.package-lock.json ]; then
	echo "Installing the parser of MySQL's grammar ..."
	npm ci --prefix tests/mysql_grammar --silent --no-audit --no-fund </dev/null
	touch tests/mysql_grammar/node_modules/.package-lock.json
fi
endef

run: .venv/run-stamp
	@exec .venv/bin/taskservice run

# The tests that cover all of taskservice/domain.
DOMAIN = tests/domain tests/cli/test_schema.py

test: .venv/test-stamp
	@$(install_test_programs)
	.venv/bin/pytest --numprocesses 3 --dist worksteal $(DOMAIN) \
		--cov=taskservice/domain --cov-config=tests/domain/coverage.toml
	.venv/bin/pytest --numprocesses 3 --dist worksteal --mysql-grammar $(DOMAIN:%=--ignore=%)

# The same with the coverage of everything, in every process that tests start: half as long again.
coverage: .venv/test-stamp
	@$(install_test_programs)
	.venv/bin/pytest --numprocesses 3 --dist worksteal --cov --mysql-grammar

check: .venv/test-stamp
	@.venv/bin/pytest --quiet --numprocesses 3 --dist worksteal -m 'not mariadb' \
		--ignore tests/web/test_web_schemathesis.py --ignore tests/storage/test_mysql_grammar.py \
		tests/domain tests/storage tests/service tests/web

# Debian's stable releases have no MySQL server: that of its unstable one is unpacked into a folder,
# with all that it needs, and nothing is installed. MARIADB names the tests that run on MariaDB.
MARIADB = tests/storage tests/service tests/engine tests/acceptance/test_replicas.py tests/acceptance/test_events.py

test-mysql: .venv/test-stamp .mysql/usr/sbin/mysqld
	@$(install_test_programs)
	TASKSERVICE_TEST_MYSQL=.mysql .venv/bin/pytest --numprocesses 3 --dist worksteal -k 'not sqlite' $(MARIADB)

.mysql/usr/sbin/mysqld:
	@command -v apt-get >/dev/null || { echo "The server is unpacked from Debian's packages." >&2; exit 1; }
	echo "Unpacking MySQL from Debian's unstable release into .mysql ..."
	folder=$$PWD/.mysql
	rm -rf "$$folder"
	mkdir -p "$$folder"/apt/{lists,archives}/partial
	touch "$$folder/apt/status"
	site=$$(apt-get indextargets --format '$$(SITE)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	echo "deb [signed-by=$$keys] $$site unstable main" >"$$folder/apt/sources.list"
	apt() {
		apt-get -qq -o Dir::Etc::sourcelist="$$folder/apt/sources.list" -o Dir::Etc::sourceparts=- \
			-o Dir::State="$$folder/apt" -o Dir::State::lists="$$folder/apt/lists" \
			-o Dir::State::status="$$folder/apt/status" -o Dir::Cache="$$folder/apt" \
			-o Dir::Cache::archives="$$folder/apt/archives" -o APT::Sandbox::User="$$(id -un)" "$$@"
	}
	apt update
	apt install --yes --no-install-recommends --download-only mysql-server-core >/dev/null
	for package in "$$folder"/apt/archives/*.deb; do
		dpkg-deb --extract "$$package" "$$folder"
	done
	rm -rf "$$folder/apt"

# Prints what was done and counted as a table, as it stands in docs/reliability.md.
soak: .venv/test-stamp
	@$(install_test_programs)
	FAULTS_LENGTH=long .venv/bin/pytest tests/faults tests/acceptance/test_machine.py tests/attack/test_credentials.py

lint: .venv/test-stamp
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

clean:
	rm -rf .mysql tests/mysql_grammar/node_modules .venv .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
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
