"""ferry.exe with its plugins as DLLs, under Wine. Programs write to files: a pipe would stay open with Wine's services."""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

FERRY = os.environ["FERRY_BIN"]
WINE = os.environ["FERRY_WINE"]
THIRD_PARTY = os.environ["FERRY_THIRD_PARTY"]
LIMIT_S = 60


class Ferry:
    """A running ferry.exe."""

    def __init__(self, directory, *arguments, stdin=subprocess.DEVNULL):
        self.files = [open(tempfile.mkstemp(dir=directory)[1], "w+b") for _ in range(2)]
        prefix = os.environ["FERRY_WINE_PREFIX"]
        self.process = subprocess.Popen(
            ["wine", FERRY, *map(str, arguments)], stdin=stdin, stdout=self.files[0], stderr=self.files[1],
            env={**os.environ, "WINEPREFIX": prefix, "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "winedbg.exe=d"})

    def text(self, which):
        with open(self.files[which].name, "rb") as file:
            return file.read().decode(errors="replace").replace("\r\n", "\n")

    def listening(self, count=1):
        """The descriptors of the first `count` readiness lines."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end and self.process.poll() is None:
            found = re.findall(r"^listening (\S+)$", self.text(0), re.M)
            if len(found) >= count:
                return found
            time.sleep(0.05)  # a file has no event to wait for
        raise AssertionError(f"not listening: {self.text(0)}{self.text(1)}")

    def close(self):
        self.process.kill()
        self.process.wait(LIMIT_S)
        for file in self.files:
            file.close()


def run(*arguments, expect=0, limit_s=LIMIT_S):
    """Runs ferry.exe to its end and returns what it printed, the errors when it is to fail."""
    done = subprocess.run([WINE, FERRY, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=limit_s)
    text = done.stdout.decode().replace("\r\n", "\n")
    errors = done.stderr.decode().replace("\r\n", "\n")
    assert done.returncode == expect, f"exit code {done.returncode}: {text}{errors}"
    return errors if expect else text


def port_of(descriptor):
    return int(descriptor.rsplit(":", 1)[1])


def exchange(port, data):
    """What comes back from `port` for `data`, up to the end that answers ours."""
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as peer:
        peer.settimeout(LIMIT_S)
        received = bytearray()
        sent = 0
        while len(received) < len(data):
            if sent < len(data) and sent - len(received) < 1 << 16:
                sent += peer.send(data[sent:sent + (1 << 15)])
            else:
                received += peer.recv(1 << 16)
        peer.shutdown(socket.SHUT_WR)
        received += peer.recv(1)
        return bytes(received)


class FerryExe(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="ferry-")
        self.addCleanup(shutil.rmtree, self.dir)

    def start(self, *arguments, **popen):
        ferry = Ferry(self.dir, *arguments, **popen)
        self.addCleanup(ferry.close)
        return ferry

    def config(self, content):
        path = os.path.join(self.dir, "app.json")
        with open(path, "w") as file:
            json.dump(content, file)
        return path

    def test_inspect_meets_each_plugin_in_a_process_of_its_own(self):
        met = [entry["plugin"] for entry in json.loads(run("--json", "inspect")) if entry["loaded"]]
        plugins = {plugin["name"]: plugin for plugin in met}
        self.assertEqual({"tcp", "npipe", "shm_spsc", "uds"}, set(plugins))
        self.assertIn("half_close", plugins["tcp"]["capabilities"])
        self.assertIn("lending", plugins["shm_spsc"]["capabilities"])
        self.assertNotIn("half_close", plugins["npipe"]["capabilities"])

    def test_explain_knows_the_three_spellings_of_a_pipe(self):
        for spelling in ("npipe://./pipe/x", "tab.pipe://./pipe/x", r"\\.\pipe\x"):
            self.assertIn("npipe", run("explain", spelling))

    def test_what_windows_cannot_serve_is_refused_with_the_alternative(self):
        for descriptor, alternative, code in (
                ("npipe:///run/app/pipe", "./pipe/<name>", 5), ("shm:///run/app.shm", "shm://<name>", 5),
                ("npipe://elsewhere/pipe/x", "./pipe/x", 5), ("unix:@name", "npipe://./pipe/<name>", 2)):
            self.assertIn(alternative, run("relay", descriptor, "tcp://127.0.0.1:1", expect=code))

    def test_unix_sockets_are_refused_where_the_system_has_none(self):
        said = run("relay", "uds:///C:/ferry-test.sock", "tcp://127.0.0.1:1", expect=5)
        if "npipe://./pipe/<name>" not in said:
            self.skipTest("this Wine has Unix sockets")

    def test_check_says_what_is_wrong_with_a_config(self):
        good = self.config({"services": [{"name": "e", "listen": ["npipe://./pipe/e"], "service": "echo"}]})
        run("check", good)
        bad = self.config({"services": [{"name": "e", "listen": ["npipe://./pipe/"], "service": "echo"}]})
        run("check", bad, expect=3)

    def test_serve_echoes_to_a_program_of_another_system(self):
        config = self.config({"services": [{"name": "e", "listen": ["tcp://127.0.0.1:0"], "service": "echo"}]})
        port = port_of(self.start("serve", config).listening()[0])
        data = os.urandom(1 << 20)
        self.assertEqual(exchange(port, data), data)

    def test_relay_carries_tcp_over_each_spelling_of_a_named_pipe_and_back(self):
        name = f"relay-{os.getpid()}"
        config = self.config({"services": [{"name": "e", "listen": [f"npipe://./pipe/{name}"], "service": "echo"}]})
        self.start("serve", config).listening()
        for spelling in (f"npipe://./pipe/{name}", f"tab.pipe://./pipe/{name}", rf"\\.\pipe\{name}"):
            port = port_of(self.start("relay", "tcp://127.0.0.1:0", spelling).listening()[0])
            data = os.urandom(1 << 18)
            self.assertEqual(exchange(port, data), data)

    def test_connect_over_a_named_pipe_prints_the_answer_and_ends(self):
        pipe = f"npipe://./pipe/connect-{os.getpid()}"
        config = self.config({"services": [{"name": "e", "listen": [pipe], "service": "echo", "framing": "messages"}]})
        self.start("serve", config).listening()
        with open(os.path.join(self.dir, "input"), "w+") as stdin:
            stdin.write("hello\n")
            stdin.seek(0)
            client = self.start("connect", pipe, "--messages", stdin=stdin)
        self.assertEqual(client.process.wait(LIMIT_S), 0, client.text(1))
        self.assertEqual(client.text(0), "hello\n")

    def test_relay_carries_tcp_over_shared_memory_and_back(self):
        shm = f"shm://relay-{os.getpid()}"
        config = self.config({"services": [{"name": "e", "listen": [shm], "service": "echo"}]})
        self.start("serve", config).listening()
        port = port_of(self.start("relay", "tcp://127.0.0.1:0", shm).listening()[0])
        data = os.urandom(1 << 20)
        self.assertEqual(exchange(port, data), data)

    def test_bench_measures_each_transport(self):
        out = run("bench", "tcp", "npipe", "shm", "--duration", "20ms", "--rounds", "1", "--measures", "ping-pong",
                  "--pin", "-1")
        for transport in ("tcp", "npipe", "shm"):
            self.assertIn(transport, out)

    def test_conform_takes_a_dll_of_somebody_else(self):
        plugin = os.path.join(self.dir, os.path.basename(THIRD_PARTY))
        shutil.copy(THIRD_PARTY, plugin)
        self.assertIn("0 failed", run("conform", plugin, limit_s=280))  # a minute where nothing else runs


if __name__ == "__main__":
    unittest.main()
