"""Peers on this machine that stop, vanish, cut and hoard: the services beside them go on, and nothing of them stays."""
import contextlib
import fcntl
import os
import secrets
import signal
import socket
import struct
import subprocess
import time
import unittest

from ferry_process import LIMIT_S, TestCase, dial, receive_all, receive_exactly, reset

PIPE_MAGIC = b"\xf5ferryP\x01"
PIPE_ANSWER = b"\xf5ferryOK"


def fnv1a(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 % (1 << 64)
    return value


class PipeClient:
    """A client of the npipe transport, by hand, so that it can stop anywhere."""

    def __init__(self, path):
        self.id = secrets.token_bytes(16)
        self.clients = os.open(path + ".clients", os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self.clients, fcntl.LOCK_SH)  # else the listener would take the names for those of a dead client
        self.names = [f"{path}.clients/{self.id.hex()}.{end}" for end in ("down", "up")]
        for name in self.names:
            os.mkfifo(name, 0o600)
        self.incoming = os.open(self.names[0], os.O_RDONLY | os.O_NONBLOCK)
        self.outgoing = os.open(self.names[1], os.O_RDWR)  # which does not wait for a reader
        request = PIPE_MAGIC + self.id
        rendezvous = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(rendezvous, request + struct.pack("<Q", fnv1a(request)))
        os.close(rendezvous)

    def read(self, size):
        """Exactly so many bytes."""
        got = b""
        give_up = time.monotonic() + LIMIT_S
        while len(got) < size:
            try:
                part = os.read(self.incoming, size - len(got))
            except BlockingIOError:
                part = b""
            if not part and time.monotonic() > give_up:
                raise AssertionError(f"{len(got)} of {size} bytes came")
            if not part:  # before the listener has opened it there is nobody who writes, which reads as an end
                time.sleep(0.005)
            got += part
        return got

    def write(self, data):
        os.write(self.outgoing, data)

    def close(self):
        """As a process that is killed does: the names stay."""
        for fd in (self.incoming, self.outgoing, self.clients):
            os.close(fd)


def processor_seconds(ferry):
    with open(f"/proc/{ferry.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class LocalPeers(TestCase):
    def pipe(self, name):
        return "npipe://" + self.path(name)

    def ask(self, descriptor, question=b"abc"):
        with dial(descriptor) as client:
            client.sendall(question)
            return receive_exactly(client, len(question))

    def test_a_target_that_is_stopped_delays_no_client_of_another(self):
        stopped, _ = self.serve({"name": "echo", "listen": [self.pipe("stopped")], "service": "echo"}, name="a.json")
        self.serve({"name": "echo", "listen": [self.pipe("alive")], "service": "echo"}, name="b.json")
        _, (to_stopped, to_alive) = self.serve(
            {"name": "one", "listen": ["uds://" + self.path("one")], "service": "relay", "to": self.pipe("stopped")},
            {"name": "two", "listen": ["uds://" + self.path("two")], "service": "relay", "to": self.pipe("alive")})
        stopped.signal(signal.SIGSTOP)
        waiting = [self.dial(to_stopped) for _ in range(50)]
        start = time.monotonic()
        for _ in range(5):
            self.assertEqual(self.ask(to_alive), b"abc")
        self.assertLess(time.monotonic() - start, 5, "they waited behind the clients of the other target")
        stopped.signal(signal.SIGCONT)
        for client in waiting:
            client.sendall(b"at last")
            self.assertEqual(receive_exactly(client, 7), b"at last")

    def test_a_stopped_reader_holds_up_nobody_and_goes_on_where_it_was(self):
        echo, (target,) = self.serve({"name": "echo", "listen": ["uds://" + self.path("echo")], "service": "echo"},
                                     name="echo.json")
        for listen in (self.pipe("relay"), "uds://" + self.path("relay"), "tcp://127.0.0.1:0"):
            with self.subTest(listen):
                relay = self.start("relay", listen, target)
                (descriptor,) = relay.listening()
                before = relay.resident_bytes()
                content = os.urandom(8_000_000)
                source = self.path("content")
                with open(source, "wb") as file:
                    file.write(content)
                with open(source, "rb") as file, open(self.path("echoed"), "wb") as echoed:
                    client = subprocess.Popen([os.environ["FERRY_BIN"], "connect", descriptor], stdin=file,
                                              stdout=echoed)
                    self.addCleanup(client.kill)
                    while os.path.getsize(self.path("echoed")) == 0:
                        time.sleep(0.001)
                    client.send_signal(signal.SIGSTOP)
                    other = subprocess.run([os.environ["FERRY_BIN"], "connect", descriptor], input=b"other",
                                           capture_output=True, timeout=LIMIT_S)
                    self.assertEqual((other.returncode, other.stdout), (0, b"other"))
                    self.assertLess(relay.resident_bytes() - before, 8 << 20)
                    client.send_signal(signal.SIGCONT)
                    self.assertEqual(client.wait(LIMIT_S), 0)
                with open(self.path("echoed"), "rb") as file:
                    self.assertEqual(file.read(), content)
                self.assertEqual(relay.terminate(), 0, relay.log.text())

    def test_a_storm_of_resets_leaves_nothing_and_a_good_client_is_served(self):
        _, targets = self.serve({"name": "echo", "listen": [self.pipe("pipe"), "uds://" + self.path("socket")],
                                 "service": "echo"}, name="echo.json")
        for target in targets:
            with self.subTest(target):
                relay = self.start("relay", "tcp://127.0.0.1:0", target)
                (descriptor,) = relay.listening()
                self.assertEqual(self.ask(descriptor), b"abc")
                before = relay.open_descriptors()
                for number in range(500):
                    client = dial(descriptor)
                    if number % 3 > 0:
                        client.sendall(bytes(number * 100))
                    if number % 3 > 1:
                        with contextlib.suppress(OSError):
                            client.recv(1)
                    reset(client)
                self.assertEqual(self.ask(descriptor), b"abc")
                give_up = time.monotonic() + LIMIT_S
                while relay.open_descriptors() > before + 8 and time.monotonic() < give_up:
                    time.sleep(0.01)
                self.assertLessEqual(relay.open_descriptors(), before + 8)  # what the pool of connects keeps
                self.assertLess(len(relay.log.lines), 40, relay.log.text())
                self.assertIn(relay.terminate(), (0, 7))  # 7: what was under way to those who cut

    def test_clients_that_take_no_more_and_say_no_more_go_when_they_close(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path("target"))
        listener.listen()
        self.addCleanup(listener.close)
        relay = self.start("relay", "uds://" + self.path("relay"), "uds://" + self.path("target"))
        (descriptor,) = relay.listening()
        before = relay.open_descriptors()
        for half in (socket.SHUT_RD, socket.SHUT_WR):
            for _ in range(20):
                client = dial(descriptor)
                server = self.accept(listener)
                client.shutdown(half)
                with contextlib.suppress(OSError):
                    server.sendall(b"x" * 1000)
                client.close()
                with contextlib.suppress(OSError):
                    receive_all(server)
                server.close()
        give_up = time.monotonic() + LIMIT_S
        while relay.open_descriptors() > before and time.monotonic() < give_up:
            time.sleep(0.01)
        self.assertLessEqual(relay.open_descriptors(), before)
        self.assertIn(relay.terminate(), (0, 7))

    def test_pipe_clients_beyond_the_table_of_descriptors_wait_and_are_served_later(self):
        ferry, _ = self.serve({"name": "echo", "listen": [self.pipe("echo")], "service": "echo"})
        subprocess.run(["prlimit", "--pid", str(ferry.pid), "--nofile=40:40"], check=True)
        clients = [PipeClient(self.path("echo")) for _ in range(40)]
        ferry.log.wait_for("out of file descriptors", occurrence=2)
        spent = processor_seconds(ferry)
        seen = len(ferry.log.find("out of file descriptors"))
        ferry.log.wait_for("out of file descriptors", occurrence=seen + 1)  # a line a second
        self.assertLess(processor_seconds(ferry) - spent, 0.3)
        for client in clients:  # each makes room for those behind it
            self.assertEqual(client.read(len(PIPE_ANSWER)), PIPE_ANSWER)
            client.write(b"abc")
            self.assertEqual(client.read(3), b"abc")
            client.close()
        self.assertEqual(ferry.terminate(), 0, ferry.log.text())
        self.assertEqual(os.listdir(self.dir), ["app.json"])

    def test_pipe_clients_that_vanish_after_their_request_leave_nothing(self):
        ferry, _ = self.serve({"name": "echo", "listen": [self.pipe("echo")], "service": "echo"})
        before = ferry.open_descriptors()
        for number in range(300):
            client = PipeClient(self.path("echo"))
            if number % 3 == 0:
                self.assertEqual(client.read(len(PIPE_ANSWER)), PIPE_ANSWER)
            if number % 3 == 1:
                client.write(b"too early")
            client.close()
        last = PipeClient(self.path("echo"))
        self.assertEqual(last.read(len(PIPE_ANSWER)), PIPE_ANSWER)
        last.write(b"abc")
        self.assertEqual(last.read(3), b"abc")
        last.close()
        give_up = time.monotonic() + LIMIT_S
        while ferry.open_descriptors() > before and time.monotonic() < give_up:
            time.sleep(0.01)
        self.assertLessEqual(ferry.open_descriptors(), before)
        self.assertEqual(os.listdir(self.path("echo.clients")), [])
        self.assertEqual(ferry.terminate(), 0, ferry.log.text())

    def test_a_full_disk_under_the_log_ends_nothing(self):
        with open("/dev/full", "wb") as full:
            config = self.write("app.json", {"log": {"level": "debug"}, "services": [
                {"name": "echo", "listen": ["uds://" + self.path("echo")], "service": "echo"},
                {"name": "dead", "listen": ["uds://" + self.path("dead")], "service": "relay",
                 "to": "uds://" + self.path("nobody")}]})
            process = subprocess.Popen([os.environ["FERRY_BIN"], "serve", config], stdout=full, stderr=full)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        give_up = time.monotonic() + LIMIT_S
        while not (os.path.exists(self.path("echo")) and os.path.exists(self.path("dead"))):
            self.assertLess(time.monotonic(), give_up)
            time.sleep(0.01)
        for _ in range(20):
            with contextlib.suppress(OSError):
                receive_all(dial("uds://" + self.path("dead")))
        self.assertEqual(self.ask("uds://" + self.path("echo")), b"abc")
        process.terminate()
        self.assertEqual(process.wait(LIMIT_S), 0)


if __name__ == "__main__":
    unittest.main()
