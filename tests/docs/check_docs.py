#!/usr/bin/env python3
"""Proves that the documentation is true: its code is compiled, its configs are accepted, its commands run.

Checked are README.md, docs/**/*.md and plugins/*/README.md. Every fenced block whose language is not `text` follows a
marker line, alone on its line:

  <!-- from: docs/examples/app/main.cpp -->   consecutive lines of that file, word for word
  <!-- config: app.json -->                   `ferry check` and the schema of `ferry schema` accept it; the later
                                              commands of the page find it under that name
  <!-- start -->                              commands that start a server; it runs on for the page's later commands
  <!-- run -->                                commands that succeed
  <!-- output -->                             lines that the commands before printed, in this order (`text` blocks)
  <!-- scripts -->                            commands that are too slow to run here; each must be an executable file

All commands of a page are one bash session in one fresh directory with `ferry` in the PATH. Ports of 127.0.0.1 are
replaced by free ones, so that pages can name ports that one remembers. A block that sends SIGHUP is over when the
server says that it has reloaded, and at the page's end every server must still end with 0 on SIGTERM.

Code is fenced, never indented, or it would escape all this. Links to files must lead somewhere, and to headings, too.
Problems are printed as file:line: message, all at once.

usage: check_docs.py SOURCE_DIR FERRY_BINARY
"""
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile

import jsonschema

FENCE = re.compile(r"^```(\w*)\s*$")
MARKER = re.compile(r"^<!-- (from|config|start|run|output|scripts)(?:: (\S+))? -->$")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
PORT = re.compile(r'\b(127\.0\.0\.1(?::|", ))([1-9]\d{3,4})\b')  # in descriptors and in Python's addresses
COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
SESSION_TIMEOUT_S = 60

PROLOGUE = r"""set -euo pipefail
trap 'code=$?; kill $(jobs -p) 2>/dev/null || true; [ $code = 0 ] || echo "block:$at exit:$code"' EXIT
until_true() { until "$@"; do kill -0 "$!" || { echo "the server has ended"; return 1; }; sleep 0.05; done; }
reloads() { cat .out/* | grep -c ' reloaded ' || true; }
reloaded_since() { [ "$(reloads)" -gt "$1" ]; }
"""
EPILOGUE = r"""
for job in $(jobs -p); do kill "$job"; wait "$job"; done
"""


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


def prose_of(lines):
    """Yields line number and text of what stands outside fenced blocks."""
    fenced = False
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors_of(document):
    """The fragments that GitHub gives a page's headings."""
    lines = (line for _, line in prose_of(document.read_text().splitlines()))
    headings = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def free_port():
    """A port that no system gives to clients, so that nobody takes it before the page's server does."""
    while True:
        port = random.randint(10240, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return str(port)
            except OSError:
                continue


class Session:
    """The commands of one page."""

    def __init__(self, ferry):
        self.ferry, self.ports, self.script, self.files, self.outputs = ferry, {}, PROLOGUE, 0, []

    def local(self, text):
        def replace(match):
            return match.group(1) + self.ports.setdefault(match.group(2), free_port())
        return PORT.sub(replace, text)

    def save(self, name, text):
        self.files += 1
        self.script += f"cat >{name} <<'FILE-{self.files}'\n{self.local(text)}FILE-{self.files}\n"

    def add(self, block):
        self.script += f"at={block.line}\n"
        if "kill -HUP" in block.text:
            self.script += "before=$(reloads)\n"
        self.script += f"{{\n{self.local(block.text)}}} >.out/{block.line} 2>&1\n"
        if block.kind == "start":
            self.script += f"until_true grep -q listening .out/{block.line}\n"
        if "kill -HUP" in block.text:
            self.script += 'until_true reloaded_since "$before"\n'
        self.outputs.append((block, None))

    def expect(self, block):
        assert self.outputs, "no commands stand before this output"
        self.outputs[-1] = (self.outputs[-1][0], block)

    def run(self):
        """Returns (line, message) of what went wrong."""
        with tempfile.TemporaryDirectory() as directory:
            os.mkdir(f"{directory}/.out")
            path = f"{pathlib.Path(self.ferry).parent}:{os.environ['PATH']}"
            environment = dict(os.environ, PATH=path, HOME=directory, XDG_RUNTIME_DIR=directory, TMPDIR=directory)
            session = subprocess.Popen(["bash", "-c", self.script + EPILOGUE], cwd=directory, env=environment,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       text=True, start_new_session=True)
            try:
                said = session.communicate(timeout=SESSION_TIMEOUT_S)[0]
            except subprocess.TimeoutExpired:
                os.killpg(session.pid, 9)
                said = session.communicate()[0]
                line = self.outputs[0][0].line
                yield line, f"the commands of this page did not end within {SESSION_TIMEOUT_S} s\n{said}"
                return
            printed = {block.line: self.printed(directory, block) for block, _ in self.outputs}
        failed = re.search(r"block:(\d+) exit:(.*)", said)
        if session.returncode != 0:
            line = int(failed.group(1)) if failed else self.outputs[0][0].line
            yield line, f"exit {failed.group(2) if failed else session.returncode}\n{printed.get(line, '')}{said}"
            return
        for block, expected in self.outputs:
            if expected:
                yield from self.compare(expected, printed[block.line])

    def printed(self, directory, block):
        file = pathlib.Path(directory) / ".out" / str(block.line)
        text = file.read_text() if file.exists() else ""
        for written, used in self.ports.items():
            text = text.replace(f":{used}", f":{written}")
        return text.replace(directory, "~")

    @staticmethod
    def compare(expected, printed):
        lines = iter(line.rstrip() for line in printed.splitlines())
        for wanted in expected.text.splitlines():
            if wanted.rstrip() not in lines:
                yield expected.line, f"'{wanted}' is not in what was printed:\n{printed}"
                return


class Checker:
    def __init__(self, root, ferry):
        self.root, self.ferry, self.problems, self.counts = root, ferry, [], {}
        schema = json.loads(subprocess.run([ferry, "schema"], check=True, capture_output=True, timeout=60).stdout)
        self.schema = jsonschema.Draft202012Validator(schema)

    def check(self, document):
        lines = document.read_text().splitlines()
        self.document, self.session = document, Session(self.ferry)
        for block in blocks_of(lines):
            if block.kind is None:
                if block.language != "text":
                    self.problem(block.line, f"this {block.language or 'unnamed'} block says no origin; see {__file__}")
                continue
            self.counts[block.kind] = self.counts.get(block.kind, 0) + 1
            try:
                getattr(self, "check_" + block.kind)(block)
            except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as error:
                self.problem(block.line, error)
        if self.session.outputs:
            for line, message in self.session.run():
                self.problem(line, message)
        self.check_prose(lines)

    def check_prose(self, lines):
        before = ""
        for number, line in prose_of(lines):
            if line.startswith("    ") and not before.strip():
                self.problem(number, "indented code; fence it, so that it is checked")
            before = line
            for target, anchor in LINK.findall(line):
                if "://" in target:
                    continue
                file = self.document.parent / target if target else self.document
                if not file.exists():
                    self.problem(number, f"link to {target}, which does not exist")
                elif anchor and file.suffix == ".md" and anchor not in anchors_of(file):
                    self.problem(number, f"link to {target}#{anchor}, a heading that does not exist")

    def problem(self, line, message):
        self.problems.append(f"{self.document.relative_to(self.root)}:{line}: {message}")

    def check_from(self, block):
        text = (self.root / block.argument).read_text()
        assert "\n" + block.text in "\n" + text, f"is not in {block.argument} (any more)"

    def check_config(self, block):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / block.argument
            file.write_text(block.text)
            done = subprocess.run([self.ferry, "check", file], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
        value = json.loads(COMMENT.sub(lambda match: match.group(1) or " ", block.text))
        best = jsonschema.exceptions.best_match(self.schema.iter_errors(value))
        assert best is None, f"the JSON Schema refuses {best.json_path}: {best.message}"
        self.session.save(block.argument, block.text)

    def check_start(self, block):
        self.session.add(block)

    def check_run(self, block):
        self.session.add(block)

    def check_output(self, block):
        self.session.expect(block)

    def check_scripts(self, block):
        for line in block.text.splitlines():
            command = line.split("#")[0].strip()
            assert not command or os.access(self.root / command.split()[0], os.X_OK), f"{command}: no such script"


def main():
    root, ferry = pathlib.Path(sys.argv[1]).resolve(), str(pathlib.Path(sys.argv[2]).resolve())
    checker = Checker(root, ferry)
    documents = [root / "README.md", *sorted(root.glob("docs/**/*.md")), *sorted(root.glob("plugins/*/README.md"))]
    for document in documents:
        checker.check(document)
    print("".join(problem + "\n" for problem in checker.problems), end="")
    print(f"{len(documents)} documents, blocks checked: {checker.counts}, problems: {len(checker.problems)}")
    return 1 if checker.problems else 0


if __name__ == "__main__":
    sys.exit(main())
