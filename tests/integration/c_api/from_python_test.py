"""The documentation's Python program, over libferry, against `ferry serve`: from_python_test.py ECHO_PY LIBFERRY"""
import subprocess
import sys
import unittest

from ferry_process import LIMIT_S, TestCase

ECHO, LIBRARY = sys.argv[1:3]


class FromPython(TestCase):
    def run_echo(self, config):
        return subprocess.run([sys.executable, "-B", ECHO, LIBRARY, config], capture_output=True, timeout=LIMIT_S)

    def test_a_link_is_used_by_its_name(self):
        server, descriptors = self.serve(
            {"name": "echo", "service": "echo", "framing": "messages", "authkey": "k", "listen": ["tcp://127.0.0.1:0"]},
            name="serve.json")
        app = self.write("app.json", {"links": {"engine": {"endpoints": descriptors, "authkey": "k"}}})
        done = self.run_echo(app)
        self.assertEqual((done.returncode, done.stdout), (0, b"hello\n"), done.stderr)
        self.assertEqual(server.terminate(), 0)

    def test_what_is_wrong_with_the_configuration_is_said(self):
        done = self.run_echo(self.write("app.json", {"lniks": {}}))
        self.assertIn(b"did you mean 'links'?", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
