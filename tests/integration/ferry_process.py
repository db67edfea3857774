"""Runs the built `ferry` for the integration tests.

Everything waits for an event (a readiness line, a log line, an exit) under one time limit, never for a guess of how
long something takes. Addresses are loopback with port 0, files are in a fresh directory per test.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

FERRY = os.environ["FERRY_BIN"]
# --plugin-dir of the fixture `nohalf://<port>`: TCP on the loopback, for plain sockets, without half-close.
NOHALF = os.path.join(os.path.dirname(FERRY), os.pardir, "tests", "nohalf")
LIMIT_S = 30  # of any single wait; sanitizers are slow, a machine may be busy


def run(*arguments, stdin=b"", env=None, timeout=LIMIT_S):
    """Runs ferry to its end."""
    return subprocess.run([FERRY, *map(str, arguments)], input=stdin, capture_output=True, timeout=timeout,
                          env={**os.environ, **(env or {})})


class Ferry:
    """A running `ferry serve`, `relay` or `listen`. Ended by the test that made it."""

    def __init__(self, *arguments, env=None, **popen):
        self.process = subprocess.Popen([FERRY, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, **(env or {})}, **popen)
        self.output = Lines(self.process.stdout)
        self.log = Lines(self.process.stderr)

    @property
    def pid(self):
        return self.process.pid

    def listening(self, count=1):
        """The descriptors of the first `count` readiness lines."""
        return [self.output.wait_for(r"^listening (\S+)$", occurrence=i + 1).group(1) for i in range(count)]

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=LIMIT_S):
        code = self.process.wait(timeout)
        self.output.join()
        self.log.join()
        return code

    def terminate(self):
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def open_descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def peak_bytes(self):
        """The most that has been resident so far."""
        with open(f"/proc/{self.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1)) << 10


class Lines:
    """Collects a stream's lines and lets tests wait for one."""

    def __init__(self, stream):
        self.lines = []
        self.changed = threading.Condition()
        self.ended = False
        self.thread = threading.Thread(target=self._collect, args=(stream,), daemon=True)
        self.thread.start()

    def _collect(self, stream):
        for line in stream:
            with self.changed:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def find(self, pattern):
        return [match for match in (re.search(pattern, line) for line in list(self.lines)) if match]

    def wait_for(self, pattern, occurrence=1):
        with self.changed:
            self.changed.wait_for(lambda: self.ended or len(self.find(pattern)) >= occurrence, LIMIT_S)
            found = self.find(pattern)
            if len(found) < occurrence:
                raise AssertionError(f"no line matched {pattern!r} {occurrence} times:\n" + self.text())
            return found[occurrence - 1]

    def text(self):
        return "\n".join(self.lines)

    def join(self):
        self.thread.join(LIMIT_S)


class TestCase(unittest.TestCase):
    """A fresh directory, and everything a test started ended after it."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="ferry-")
        self.addCleanup(shutil.rmtree, self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, content):
        path = self.path(name)
        partial = path + ".new"
        with open(partial, "w") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        os.replace(partial, path)
        return path

    def start(self, *arguments, **popen):
        ferry = Ferry(*arguments, **popen)
        self.addCleanup(ferry.kill)
        return ferry

    def serve(self, *services, name="app.json", arguments=(), **more):
        """Starts `ferry serve` and returns it with the descriptors it listens at, in the config's order."""
        config = self.write(name, {"services": list(services), **more})
        ferry = self.start("serve", config, *arguments)
        return ferry, ferry.listening(sum(len(service["listen"]) for service in services))

    def dial(self, descriptor):
        connection = dial(descriptor)
        self.addCleanup(connection.close)
        return connection

    def listener(self):
        """A plain socket that listens, and its descriptor."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(LIMIT_S)
        self.addCleanup(listener.close)
        return listener, f"tcp://127.0.0.1:{listener.getsockname()[1]}"

    def accept(self, listener):
        connection, _ = listener.accept()
        connection.settimeout(LIMIT_S)
        self.addCleanup(connection.close)
        return connection


def address_of(descriptor):
    """What multiprocessing.connection and socket take for a descriptor."""
    if descriptor.startswith("tcp://"):
        host, port = descriptor.removeprefix("tcp://").rsplit(":", 1)
        return host, int(port)
    return descriptor.removeprefix("uds://")


def dial(descriptor):
    address = address_of(descriptor)
    connection = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    connection.settimeout(LIMIT_S)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def receive_all(connection):
    """Reads until the peer ends its direction."""
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def receive_exactly(connection, size):
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise AssertionError(f"the peer ended after {len(parts)} of {size} bytes")
        parts += part
    return bytes(parts)


def fill(connection):
    """Sends until nothing more is taken: every buffer on the way is full. Full means that it stays so while a relay has
    the time of a round trip to take more. Leaves the connection non-blocking."""
    while True:
        connection.setblocking(False)
        try:
            connection.send(bytes(1 << 16))
        except BlockingIOError:
            connection.settimeout(0.5)
            try:
                connection.send(b"x")
            except TimeoutError:
                return connection.setblocking(False)


def reset(connection):
    """Closes a TCP socket so that its peer sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@contextlib.contextmanager
def in_thread(function, *arguments):
    """Runs a function beside the test; its exception fails the test."""
    problems = []

    def guarded():
        try:
            function(*arguments)
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        thread.join(LIMIT_S)
    if problems:
        raise problems[0]
    if thread.is_alive():
        raise AssertionError(f"{function.__name__} did not end")
