"""Debian's packages for the test archive: what there is, what is needed of it, fetching it.

Used by `make` beside it.
"""

import collections
import hashlib
import os
import re
import subprocess
import sys

SOURCE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Where Debian is by custom, as in suites/debian.
CUSTOMARY = ("http://ftp.debian.org/debian", "http://security.debian.org/debian-security")

Package = collections.namedtuple("Package", "name version architecture fields")


def run(*command, **options):
    """Runs a program and returns what it wrote to standard output."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{sys.argv[0]}: {command[0]} failed with exit code {done.returncode}")
    return done.stdout


def digest(path, algorithm="sha256"):
    """The checksum of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def mirrors():
    """The Debian mirror and the security mirror: as the host's apt sources name them, or by custom."""
    given = os.environ.get("RVMB_TEST_DEBIAN_MIRROR")
    if given:
        return given, given.rstrip("/") + "-security"
    lines = run("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages")
    found = {}
    for line in lines.splitlines():
        origin, label, uri = line.split("|")
        if origin == "Debian":
            found.setdefault(label, uri.rstrip("/"))
    if "Debian" not in found:
        print(f"{sys.argv[0]}: no Debian mirror in this host's apt sources: taking {CUSTOMARY[0]}; "
              "RVMB_TEST_DEBIAN_MIRROR names another", file=sys.stderr)
        return CUSTOMARY
    return found["Debian"], found.get("Debian-Security", found["Debian"] + "-security")


class Debian:
    """An apt of our own beside the host's: the host's settings, but other sources and other state."""

    def __init__(self, cache):
        self.state = cache / "apt"
        self.debs = cache / "debs"
        for directory in (self.state / "lists/partial", self.state / "cache/archives/partial", self.debs):
            directory.mkdir(parents=True, exist_ok=True)
        mirror, security = mirrors()
        (self.state / "status").write_text("")
        (self.state / "sources.list").write_text(
            f"deb [arch=amd64 signed-by={KEYRING}] {mirror} {SOURCE} main\n"
            f"deb [arch=amd64 signed-by={KEYRING}] {security} {SOURCE}-security main\n")
        options = {
            "Dir::Etc::SourceList": self.state / "sources.list", "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State": self.state, "Dir::State::Lists": self.state / "lists",
            "Dir::State::status": self.state / "status", "Dir::Cache": self.state / "cache",
            "APT::Architecture": "amd64", "APT::Architectures": "amd64", "APT::Sandbox::User": "root",
            "Acquire::Languages": "none", "Acquire::Retries": "3",
        }
        if os.environ.get("RVMB_TEST_PROXY"):
            options["Acquire::http::Proxy"] = os.environ["RVMB_TEST_PROXY"]
        self.options = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        run("apt-get", *self.options, "-qq", "update")

    def packages(self, suite):
        """Every package of a suite, by name; of several versions the last, which is the newest."""
        files = run("apt-get", *self.options, "indextargets", "--format", "$(FILENAME)",
                    "Created-By: Packages", f"Release: {suite}").split()
        text = "\n".join(run("/usr/lib/apt/apt-helper", "cat-file", name) for name in files)
        return {package.name: package for package in map(stanza, text.strip().split("\n\n"))}

    def fetch(self, package):
        """Where the .deb of `package` lies, or will lie after `download`."""
        version = package.version.replace(":", "%3a")
        return self.debs / f"{package.name}_{version}_{package.architecture}.deb"

    def download(self, packages):
        """Fetches what the cache does not have. apt checks what it fetches, we what was there."""
        missing = [p for p in packages if not self.fetch(p).exists()
                   or digest(self.fetch(p)) != p.fields["SHA256"]]
        for package in missing:
            self.fetch(package).unlink(missing_ok=True)
        print(f"fetching {len(missing)} of {len(packages)} packages", file=sys.stderr)
        if missing:
            run("apt-get", *self.options, "-qq", "download",
                *(f"{p.name}={p.version}" for p in missing), cwd=self.debs)


def stanza(text):
    """Reads one stanza of a Packages file (deb822(5)); continuation lines are kept."""
    fields = {}
    for line in text.split("\n"):
        if line[:1] in (" ", "\t"):
            fields[name] += "\n" + line
        else:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    return Package(fields["Package"], fields["Version"], fields["Architecture"], fields)


def relations(package):
    """What a package depends on: a list of lists of alternative names."""
    text = ", ".join(package.fields.get(name, "") for name in ("Pre-Depends", "Depends"))
    return [[re.split(r"[ :(]", choice.strip())[0] for choice in group.split("|")]
            for group in text.split(",") if group.strip()]


def closure(available, roots):
    """`roots` and all that they depend on. Of alternatives the first is taken, as debootstrap does."""
    providers = {}
    for package in available.values():
        for name in package.fields.get("Provides", "").split(","):
            providers.setdefault(re.split(r"[ (]", name.strip())[0], package.name)
    chosen, queue = {}, list(roots)
    while queue:
        name = queue.pop()
        if name in chosen:
            continue
        if name not in available:
            sys.exit(f"{sys.argv[0]}: {SOURCE} has no package {name}")
        chosen[name] = available[name]
        for group in relations(available[name]):
            real = [choice for choice in group if choice in available]
            virtual = [providers[choice] for choice in group if choice in providers]
            if not real and not virtual:
                sys.exit(f"{sys.argv[0]}: nothing satisfies {' | '.join(group)}, which {name} depends on")
            queue.append((real or virtual)[0])
    return chosen
