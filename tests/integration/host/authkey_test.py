"""Python's multiprocessing.connection against `ferry serve`, and clients that never prove who they are."""
import multiprocessing.connection
import os
import socket
import threading
import unittest
from multiprocessing import AuthenticationError

from ferry_process import LIMIT_S, TestCase, address_of, dial, in_thread, receive_all, run

KEY = "correct horse"
SANITIZED = bool(os.environ.get("FERRY_SANITIZE"))
SILENT_CLIENTS = 1_000 if SANITIZED else 10_000
FAMILIES = {"tcp": "tcp://127.0.0.1:0", "uds": "uds://{dir}/echo.sock"}


class Authkey(TestCase):
    def echo(self, transport="tcp", **more):
        listen = FAMILIES[transport].format(dir=self.dir)
        return self.serve({"name": "echo", "listen": [listen], "service": "echo", "framing": "messages", **more})

    def client(self, descriptor, key=None):
        client = multiprocessing.connection.Client(address_of(descriptor), authkey=key.encode() if key else None)
        self.addCleanup(client.close)
        return client

    def test_python_client_without_a_key(self):
        for transport in FAMILIES:
            with self.subTest(transport):
                _, (descriptor,) = self.echo(transport)
                client = self.client(descriptor)
                for size in (0, 1, 16_384, 3_000_000):
                    message = os.urandom(size)
                    client.send_bytes(message)
                    self.assertEqual(client.recv_bytes(), message)
                client.send({"an": "object"})
                self.assertEqual(client.recv(), {"an": "object"})

    def test_python_client_with_the_key(self):
        for transport in FAMILIES:
            with self.subTest(transport):
                _, (descriptor,) = self.echo(transport, authkey=KEY)
                client = self.client(descriptor, KEY)
                client.send_bytes(b"trusted")
                self.assertEqual(client.recv_bytes(), b"trusted")

    def test_the_wrong_key_is_refused_and_logged(self):
        ferry, (descriptor,) = self.echo(authkey=KEY)
        with self.assertRaises(AuthenticationError):
            self.client(descriptor, "battery staple")
        ferry.log.wait_for("did not authenticate")

    def test_the_key_may_come_from_the_environment(self):
        config = self.write("app.json", {"services": [{
            "name": "echo", "listen": ["tcp://127.0.0.1:0"], "service": "echo", "framing": "messages",
            "authkey": "${ECHO_KEY}"}]})
        ferry = self.start("serve", config, env={"ECHO_KEY": KEY})
        client = self.client(ferry.listening()[0], KEY)
        client.send_bytes(b"x")
        self.assertEqual(client.recv_bytes(), b"x")

    def test_ferry_client_with_and_without_the_key(self):
        _, (descriptor,) = self.echo(authkey=KEY)
        for key, code in ((KEY, 0), ("battery staple", 5)):
            config = self.write("client.json", {"links": {"echo": {"endpoints": [descriptor], "authkey": key}}})
            done = run("connect", "echo", "--config", config, "--messages", stdin=b"one\ntwo\n")
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertEqual(done.stdout, b"one\ntwo\n" if code == 0 else b"")

    def test_what_would_not_use_a_links_key_is_refused(self):
        listener, target = self.listener()
        link = {"links": {"engine": {"endpoints": [target], "authkey": KEY}}}
        served = self.write("served.json", {**link, "services": [
            {"name": "r", "listen": ["tcp://127.0.0.1:0"], "service": "relay", "to": "engine"}]})
        for verb in ("check", "serve"):
            done = run(verb, served)
            self.assertEqual(done.returncode, 3)
            self.assertIn(b"a relay passes bytes on and cannot use", done.stderr)
        config = self.write("client.json", link)
        done = run("relay", "tcp://127.0.0.1:0", "engine", "--config", config)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"a relay cannot use", done.stderr)
        done = run("connect", "engine", "--config", config)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"--messages", done.stderr)

    def test_a_ferry_client_that_names_no_key_is_told_so(self):
        _, (descriptor,) = self.echo(authkey=KEY)
        with multiprocessing.connection.Listener(("127.0.0.1", 0), authkey=KEY.encode()) as listener:
            def refuse():
                for _ in range(2):
                    with self.assertRaises((AuthenticationError, EOFError, ConnectionError)):
                        listener.accept()

            with in_thread(refuse):
                self.check_told_of_the_key("tcp://127.0.0.1:%d" % listener.address[1])
        self.check_told_of_the_key(descriptor)

    def check_told_of_the_key(self, descriptor):
        for stdin in (b"", b"one\n"):
            done = run("connect", descriptor, "--messages", stdin=stdin)
            self.assertEqual((done.returncode, done.stdout), (5, b""))
            self.assertIn(b"asks for a key", done.stderr)

    def test_ferry_client_against_a_python_listener(self):
        with multiprocessing.connection.Listener(("127.0.0.1", 0), authkey=KEY.encode()) as listener:
            received = []

            def answer():
                with listener.accept() as connection:
                    received.append(connection.recv_bytes())
                    connection.send_bytes(b"from python")

            thread = threading.Thread(target=answer)
            thread.start()
            config = self.write("client.json", {"links": {"python": {
                "endpoints": ["tcp://127.0.0.1:%d" % listener.address[1]], "authkey": KEY}}})
            done = run("connect", "python", "--config", config, "--messages", stdin=b"from ferry\n")
            thread.join(LIMIT_S)
        self.assertEqual((done.returncode, done.stdout), (0, b"from python\n"), done.stderr)
        self.assertEqual(received, [b"from ferry"])

    def test_a_relay_may_ask_for_the_key(self):
        listener, target = self.listener()
        _, (descriptor,) = self.serve({"name": "guarded", "listen": ["tcp://127.0.0.1:0"], "service": "relay",
                                       "to": target, "framing": "messages", "authkey": KEY})
        client = self.client(descriptor, KEY)
        server = self.accept(listener)
        client.send_bytes(b"abc")
        self.assertEqual(server.recv(7, socket.MSG_WAITALL), b"\0\0\0\3abc")


class Silence(TestCase):
    """Each of these clients would hold a place for ever if the handshake had no deadline."""

    def serve_with_deadline(self, deadline, **more):
        return self.serve({"name": "echo", "listen": [f"tcp://127.0.0.1:0?handshake_deadline={deadline}"],
                           "service": "echo", "framing": "messages", "authkey": KEY, **more})

    def test_a_silent_client_is_evicted_at_the_deadline(self):
        ferry, (descriptor,) = self.serve_with_deadline("200ms")
        client = self.dial(descriptor)
        with self.assertRaises(ConnectionResetError):
            receive_all(client)
        ferry.log.wait_for("handshake_deadline")

    def test_a_client_that_dribbles_is_evicted_all_the_same(self):
        _, (descriptor,) = self.serve_with_deadline("300ms")
        client = self.dial(descriptor)
        client.sendall(b"\0\0\0\xff")
        client.settimeout(0.02)
        with self.assertRaises((ConnectionResetError, BrokenPipeError)):
            while True:
                try:
                    if client.recv(1 << 16) == b"":
                        break
                except TimeoutError:
                    pass
                client.send(b"\0")

    def test_a_hostile_length_is_refused_before_anything_is_kept(self):
        _, (descriptor,) = self.serve_with_deadline("1h")
        client = self.dial(descriptor)
        client.sendall(b"\x7f\xff\xff\xff")
        with self.assertRaises(ConnectionResetError):
            receive_all(client)

    def test_the_longest_silent_client_makes_room_for_a_new_one(self):
        _, (descriptor,) = self.serve_with_deadline("1h", max_connections=2)
        silent = [self.dial(descriptor) for _ in range(2)]
        for client in silent:
            client.recv(1)  # its challenge: it was accepted
        with multiprocessing.connection.Client(address_of(descriptor), authkey=KEY.encode()) as client:
            client.send_bytes(b"let in")
            self.assertEqual(client.recv_bytes(), b"let in")
        with self.assertRaises(ConnectionResetError):
            receive_all(silent[0])

    def test_thousands_of_silent_clients_keep_nobody_out_and_cost_little(self):
        ferry, (descriptor,) = self.serve_with_deadline("4s", max_connections=SILENT_CLIENTS + 100)
        before = ferry.resident_bytes()
        silent = [dial(descriptor) for _ in range(SILENT_CLIENTS)]
        try:
            with multiprocessing.connection.Client(address_of(descriptor), authkey=KEY.encode()) as client:
                client.send_bytes(b"good")
                self.assertEqual(client.recv_bytes(), b"good")
            per_client = (ferry.resident_bytes() - before) / SILENT_CLIENTS
            print(f"{per_client:.0f} bytes per silent client", flush=True)
            if not SANITIZED:
                self.assertLess(per_client, 16 << 10)
            for client in silent:
                with self.assertRaises(ConnectionResetError):
                    receive_all(client)
        finally:
            for client in silent:
                client.close()


if __name__ == "__main__":
    unittest.main()
