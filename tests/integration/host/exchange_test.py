"""`ferry connect` and `ferry listen`: standard input and output over one connection."""
import json
import os
import socket
import subprocess
import unittest

from ferry_process import FERRY, LIMIT_S, NOHALF, TestCase, receive_all, receive_exactly, reset, run


class Exchange(TestCase):
    def listen(self, *more, **popen):
        ferry = self.start("listen", "tcp://127.0.0.1:0", *more, stdin=subprocess.PIPE, **popen)
        return ferry, ferry.log.wait_for(r"^listening (\S+)$").group(1)

    def test_both_directions_and_both_ends(self):
        upload, download = os.urandom(2_000_000).hex().encode(), b"short\n"
        ferry, descriptor = self.listen()
        ferry.process.stdin.write(download)
        ferry.process.stdin.close()
        done = run("connect", descriptor, stdin=upload)
        self.assertEqual((done.returncode, done.stdout), (0, download), done.stderr)
        self.assertEqual(ferry.wait(), 0)
        self.assertEqual(ferry.output.text().encode(), upload)

    def test_the_peer_may_end_first_and_still_receives_everything(self):
        listener, descriptor = self.listener()
        process = subprocess.Popen([FERRY, "connect", descriptor], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        server = self.accept(listener)
        server.shutdown(socket.SHUT_WR)
        self.assertEqual(process.stdout.read(), b"")  # its output ends before its input does
        process.stdin.write(b"all of it")
        process.stdin.close()
        self.assertEqual(receive_all(server), b"all of it")
        self.assertEqual(process.wait(LIMIT_S), 0)
        process.stdout.close()

    def test_messages_are_lines(self):
        ferry, descriptor = self.listen("--messages")
        ferry.process.stdin.close()
        with socket.create_connection(("127.0.0.1", int(descriptor.rsplit(":", 1)[1]))) as client:
            client.sendall(b"\0\0\0\3one\0\0\0\3two")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(receive_all(client), b"")
        self.assertEqual(ferry.wait(), 0)
        self.assertEqual(ferry.output.lines, ["one", "two"])

    def test_a_reset_is_exit_code_7(self):
        listener, descriptor = self.listener()
        process = subprocess.Popen([FERRY, "connect", descriptor], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        server = self.accept(listener)
        server.sendall(b"half of")
        self.assertEqual(process.stdout.read(7), b"half of")
        reset(server)
        _, error = process.communicate(timeout=LIMIT_S)
        self.assertEqual(process.returncode, 7)
        self.assertIn(b"cut off", error)

    def test_a_message_cut_off_is_exit_code_7(self):
        listener, descriptor = self.listener()
        process = subprocess.Popen([FERRY, "connect", "--messages", descriptor], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        server = self.accept(listener)
        server.sendall(b"\0\0\0\x09half")
        server.close()
        output, _ = process.communicate(timeout=LIMIT_S)
        self.assertEqual((process.returncode, output), (7, b""))

    def test_the_deadline_is_exit_code_6(self):
        listener, descriptor = self.listener()
        self.assertEqual(run("connect", "--deadline", "100ms", descriptor).returncode, 6)
        self.assertEqual(run("listen", "--deadline", "100ms", "tcp://127.0.0.1:0").returncode, 6)

    def test_a_refused_connection_is_exit_code_5_and_says_so(self):
        listener, descriptor = self.listener()
        listener.close()
        done = run("connect", descriptor)
        self.assertEqual(done.returncode, 5)
        self.assertIn(b"refused", done.stderr)

    @unittest.skipIf(os.geteuid() != 0, "needs root, to be two users")
    def test_listen_goes_on_after_a_client_that_may_not_connect(self):
        os.chmod(self.dir, 0o755)
        path = self.path("listen.sock")
        ferry = self.start("listen", f"uds://{path}?mode=0666&allow_uid=root", stdin=subprocess.DEVNULL)
        ferry.log.wait_for("^listening ")
        stranger = subprocess.run(["/usr/bin/python3", "-c", "import socket, sys\nwith socket.socket(socket.AF_UNIX) as s:\n"
                                   " s.connect(sys.argv[1])\n s.recv(1)", path], user=65534, capture_output=True, timeout=LIMIT_S)
        ferry.log.wait_for("warning.*accept")
        client = self.dial("uds://" + path)
        client.sendall(b"let in")
        client.close()
        self.assertEqual(ferry.wait(), 0, ferry.log.text() + stranger.stderr.decode())
        self.assertEqual(ferry.output.text(), "let in")

    def test_a_closed_standard_output_is_exit_code_1(self):
        listener, descriptor = self.listener()
        process = subprocess.Popen([FERRY, "connect", descriptor], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        server = self.accept(listener)
        process.stdout.close()
        server.sendall(b"nobody reads this")
        self.assertEqual(process.wait(LIMIT_S), 1)
        process.stdin.close()
        process.stderr.close()

    def test_the_json_report_is_on_standard_error(self):
        listener, descriptor = self.listener()
        process = subprocess.Popen([FERRY, "connect", "--json", descriptor], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        server = self.accept(listener)
        server.sendall(b"12345")
        server.shutdown(socket.SHUT_WR)
        output, error = process.communicate(b"abc", timeout=LIMIT_S)
        self.assertEqual(receive_exactly(server, 3), b"abc")
        self.assertEqual((process.returncode, output), (0, b"12345"))
        self.assertEqual(json.loads(error), {"event": "ended", "sent": 3, "received": 5, "problem": ""})


class WithoutHalfClose(TestCase):
    """The transport cannot tell the peer that standard input has ended."""

    def test_the_end_of_input_and_then_silence_end_it(self):
        for service, options, data in (("bytes", [], b"hello"), ("messages", ["--messages"], b"hello\n")):
            with self.subTest(framing=service):
                config = self.write("echo.json", {"services": [
                    {"name": "e", "listen": ["nohalf://0"], "service": "echo", "framing": service}]})
                ferry = self.start("serve", config, "--plugin-dir", NOHALF, "--log-level", "debug")
                done = run("connect", ferry.listening()[0], "--plugin-dir", NOHALF, *options, stdin=data)
                self.assertEqual((done.returncode, done.stdout), (0, data), done.stderr)
                self.assertIn(b"silence", done.stderr)
                ferry.log.wait_for("session .* ended: success")
                self.assertEqual(ferry.terminate(), 0)

    def test_the_peers_end_ends_it_while_input_goes_on(self):
        listener, descriptor = self.listener()
        process = subprocess.Popen([FERRY, "connect", "nohalf://" + descriptor.rsplit(":", 1)[1], "--plugin-dir", NOHALF],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        server = self.accept(listener)
        server.sendall(b"all there is")
        server.close()
        self.assertEqual(process.stdout.read(), b"all there is")
        self.assertEqual(process.wait(LIMIT_S), 0)
        process.stdin.close()
        process.stdout.close()


if __name__ == "__main__":
    unittest.main()
