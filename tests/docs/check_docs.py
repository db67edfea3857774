#!/usr/bin/env python3
"""Proves that the documentation's snippets are true.

Every fenced block of README.md and docs/**/*.md whose language is not `text` is preceded by one marker line:

  <!-- from: docs/examples/app/main.cpp -->            the block is that file's text, whole
  <!-- from: docs/examples/app/main.cpp#connect -->    … or the lines between `[doc:connect]` and `[doc:end]` in it
  <!-- run -->                                         a shell block: runs in a fresh directory and exits 0
  <!-- run: app.json -->                               … with the nearest earlier `config: app.json` block saved there
  <!-- config: app.json -->                            a config that `ferry check` accepts
  <!-- scripts -->                                     commands that the CI itself runs; each must be an existing file

Relative links to files must lead somewhere. Problems are printed as file:line: message, all at once.

usage: check_docs.py SOURCE_DIR FERRY_BINARY
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

FENCE = re.compile(r"^```(\w*)\s*$")
MARKER = re.compile(r"^<!-- (from|run|config|scripts)(?:: (\S+))? -->$")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
RUN_TIMEOUT_S = 60


class Block:
    def __init__(self, line, language, kind, argument, text):
        self.line, self.language, self.kind, self.argument, self.text = line, language, kind, argument, text


def blocks_of(lines):
    """Yields the fenced blocks of a document with the marker before each."""
    marker, start, language, body = None, None, None, []
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line)
        if start is None:
            if fence:
                start, language, body = number, fence.group(1), []
            elif line.strip():
                marker = MARKER.match(line.strip())
        elif line.rstrip() == "```":
            kind, argument = (marker.group(1), marker.group(2)) if marker else (None, None)
            yield Block(start, language, kind, argument, "".join(part + "\n" for part in body))
            marker, start = None, None
        else:
            body.append(line)


def source_text(root, reference):
    path, _, region = reference.partition("#")
    text = (root / path).read_text()
    if not region:
        return text
    match = re.search(rf"^.*\[doc:{re.escape(region)}\].*\n(.*?)^.*\[doc:end\]", text, re.M | re.S)
    if not match:
        raise ValueError(f"{path} has no region [doc:{region}]")
    return textwrap.dedent(match.group(1))


class Checker:
    def __init__(self, root, ferry):
        self.root, self.ferry, self.problems, self.counts = root, ferry, [], {}

    def problem(self, document, line, message):
        self.problems.append(f"{document.relative_to(self.root)}:{line}: {message}")

    def check(self, document):
        lines = document.read_text().splitlines()
        configs = {}
        for block in blocks_of(lines):
            if block.kind is None:
                if block.language != "text":
                    self.problem(document, block.line, f"this {block.language or 'unnamed'} block says no origin; see {__file__}")
                continue
            self.counts[block.kind] = self.counts.get(block.kind, 0) + 1
            try:
                getattr(self, "check_" + block.kind)(block, configs)
            except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as error:
                self.problem(document, block.line, error)
        for number, line in enumerate(lines, 1):
            for target in LINK.findall(line):
                if "://" not in target and not (document.parent / target).exists():
                    self.problem(document, number, f"link to {target}, which does not exist")

    def check_from(self, block, _configs):
        expected = source_text(self.root, block.argument)
        assert block.text == expected, f"differs from {block.argument}; its text is now:\n{expected}"

    def check_config(self, block, configs):
        configs[block.argument] = block.text
        with tempfile.TemporaryDirectory() as directory:
            self.save(directory, {block.argument: block.text})
            self.run([self.ferry, "check", block.argument], directory)

    def check_run(self, block, configs):
        with tempfile.TemporaryDirectory() as directory:
            if block.argument:
                self.save(directory, {block.argument: configs[block.argument]})
            self.run(["bash", "-euo", "pipefail", "-c", block.text], directory)

    def check_scripts(self, block, _configs):
        for line in block.text.splitlines():
            command = line.split("#")[0].strip()
            assert not command or os.access(self.root / command.split()[0], os.X_OK), f"{command}: no such script"

    @staticmethod
    def save(directory, files):
        for name, text in files.items():
            (pathlib.Path(directory) / name).write_text(text)

    def run(self, command, directory):
        environment = dict(os.environ, PATH=f"{pathlib.Path(self.ferry).parent}:{os.environ['PATH']}", XDG_RUNTIME_DIR=directory,
                           TMPDIR=directory)
        done = subprocess.run(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=RUN_TIMEOUT_S)
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"


def main():
    root, ferry = pathlib.Path(sys.argv[1]).resolve(), str(pathlib.Path(sys.argv[2]).resolve())
    checker = Checker(root, ferry)
    documents = [root / "README.md", *sorted((root / "docs").rglob("*.md")), *sorted((root / "plugins").glob("*/README.md"))]
    for document in documents:
        checker.check(document)
    print("\n".join(checker.problems))
    print(f"{len(documents)} documents, blocks checked: {checker.counts}, problems: {len(checker.problems)}")
    return 1 if checker.problems else 0


if __name__ == "__main__":
    sys.exit(main())
