"""Runs the built `quic_go_peer` (quic-go) and makes certificates for it and for Ferry."""
import contextlib
import json
import os
import subprocess
import sys
import tempfile

from ferry_process import FERRY, LIMIT_S, Lines, TestCase, in_thread, run
from udp_relay import UdpRelay

USER = os.path.join(os.path.dirname(FERRY), "../tests/quic_user")
PEER = os.path.join(os.path.dirname(FERRY), "../tests/quic_go_peer")


def skip_without_peer():
    """Ends the script as skipped where Go or quic-go is not installed."""
    if not os.path.exists(PEER):
        print("quic_go_peer was not built: golang-go or golang-github-lucas-clemente-quic-go-dev is missing")
        sys.exit(77)


def words(options):
    """`ca="x", retry=True` as -ca=x -retry=true."""
    text = {True: "true", False: "false"}
    return [f"-{name}={text.get(value, value) if isinstance(value, bool) else value}" for name, value in options.items()]


class PeerServer:
    def __init__(self, **options):
        self.process = subprocess.Popen([PEER, "server", *words(options)], stdout=subprocess.PIPE)
        self.output = Lines(self.process.stdout)
        self.port = int(self.output.wait_for(r'"listening":"127\.0\.0\.1:(\d+)"').group(1))

    def reports(self, key, count=1):
        """The first `count` lines about a "stream" or a "connection"."""
        return [json.loads(self.output.wait_for(f'^.*"{key}":.*$', occurrence=i + 1).group(0)) for i in range(count)]

    def close(self):
        self.process.terminate()
        self.process.wait(LIMIT_S)
        self.output.join()
        self.process.stdout.close()


def peer_client(port, timeout=LIMIT_S, **options):
    """Runs a quic-go client to its end; returns the lines of its streams and the last, of the connection."""
    done = subprocess.run([PEER, "client", *words({"timeout": f"{timeout}s", **options}), f"127.0.0.1:{port}"],
                          stdout=subprocess.PIPE, timeout=timeout + LIMIT_S)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[:-1], lines[-1]


class UserServer:
    """`quic_user server`: echoes streams and datagrams, and tells how each stream ended."""

    def __init__(self, descriptor):
        self.process = subprocess.Popen([USER, "server", descriptor], stdout=subprocess.PIPE)
        self.output = Lines(self.process.stdout)
        self.port = int(self.output.wait_for(r'"listening": "quic://127\.0\.0\.1:(\d+)').group(1))

    def reports(self, count):
        """The first `count` lines about a stream that ended."""
        return [json.loads(self.output.wait_for('^.*"ended":.*$', occurrence=i + 1).group(0)) for i in range(count)]

    def close(self):
        self.process.terminate()
        self.process.wait(LIMIT_S)
        self.output.join()
        self.process.stdout.close()


class Dialogue:
    """`ferry connect` to an echo, while its input goes on. With `qlog=True`, events() tells what its engine did."""

    def __init__(self, test, port, host="127.0.0.1", qlog=False, **options):
        self.test = test
        self.directory = None
        if qlog:
            self.directory = tempfile.mkdtemp(dir=test.dir)
            options["qlog"] = self.directory
        self.process = subprocess.Popen([FERRY, "connect", f"quic://{host}:{port}?{query(options)}"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        test.addCleanup(self.close)

    def exchange(self, data):
        """Sends `data` and waits until it has come back."""
        with in_thread(self._send, data):
            self.test.assertEqual(self.process.stdout.read(len(data)), data)

    def _send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.test.assertEqual(self.process.wait(LIMIT_S), 0)

    def events(self):
        """The engine's events, each with name, time and data, after the end."""
        (log,) = os.listdir(self.directory)
        with open(os.path.join(self.directory, log)) as records:
            return [event for event in map(json.loads, filter(None, records.read().split("\x1e"))) if "name" in event]

    def close(self):
        self.process.kill()
        self.process.wait(LIMIT_S)
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def query(options):
    return "&".join(f"{name}={value}" for name, value in options.items())


class QuicTestCase(TestCase):
    """One pair of keys for everything, and Ferry servers and clients made with it."""

    def setUp(self):
        super().setUp()
        self.cert, self.key = self.keygen("pair")

    def keygen(self, name, *arguments):
        done = run("keygen", "--out", self.path(name), *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.path(name + ".crt"), self.path(name + ".key")

    def ferry_server(self, service="echo", to=None, host="127.0.0.1", **options):
        """`ferry serve` at a quic address, a relay goes on to `to`; returns it with its port."""
        options = {"alpn": "ferry", "cert": self.cert, "key": self.key, **options}
        listen = {"descriptor": f"quic://{host}:0", "options": options}
        ferry, (descriptor,) = self.serve({"name": "quic", "service": service, "listen": [listen], **({"to": to} if to else {})})
        return ferry, int(descriptor.split("?")[0].rsplit(":", 1)[1])

    def ferry_client(self, port, data, timeout=LIMIT_S, **options):
        """`ferry connect` with `data` as its input, run to its end."""
        options = {"alpn": "ferry", "ca": self.cert, **options}
        return run("connect", f"quic://127.0.0.1:{port}?{query(options)}", stdin=data, timeout=timeout)

    def dialogue(self, port, **options):
        return Dialogue(self, port, **{"alpn": "ferry", "ca": self.cert, **options})

    def user_server(self, **options):
        options = {"alpn": "ferry", "cert": self.cert, "key": self.key, **options}
        server = UserServer(f"quic://127.0.0.1:0?{query(options)}")
        self.addCleanup(server.close)
        return server

    def user_client(self, port, arguments=(), timeout=LIMIT_S, **options):
        """Runs `quic_user client` to its end; returns its lines."""
        options = {"alpn": "ferry", "ca": self.cert, **options}
        done = subprocess.run([USER, "client", f"quic://127.0.0.1:{port}?{query(options)}", *map(str, arguments)],
                              stdout=subprocess.PIPE, timeout=timeout)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def peer_server(self, **options):
        server = PeerServer(**{"cert": self.cert, "key": self.key, **options})
        self.addCleanup(server.close)
        return server

    def peer_client(self, port, **options):
        return peer_client(port, **{"ca": self.cert, **options})

    def relay(self, port, **options):
        relay = UdpRelay(port, **options)
        self.addCleanup(relay.close)
        return relay
