"""ferry keygen, judged by another TLS library: Python's ssl (OpenSSL) serves with the pair and verifies it."""
import hashlib
import json
import os
import socket
import ssl
import stat
import time
import unittest

from ferry_process import LIMIT_S, TestCase, in_thread, run


class Keygen(TestCase):
    def keygen(self, *arguments, prefix="pair"):
        done = run("keygen", "--json", "--out", self.path(prefix), *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refused(self, code, *arguments):
        done = run("keygen", "--out", self.path("pair"), *arguments)
        self.assertEqual(done.returncode, code)
        return done.stderr.decode()

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def handshake(self, pair, host):
        """A mutually verified TLS 1.3 connection to `host`; returns what each side was shown."""
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pair["certificate"], pair["key"])
        server.load_verify_locations(pair["certificate"])
        server.verify_mode = ssl.CERT_REQUIRED
        client = ssl.create_default_context(cafile=pair["certificate"])
        client.load_cert_chain(pair["certificate"], pair["key"])
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.settimeout(LIMIT_S)
        seen = {}

        def serve():
            with server.wrap_socket(theirs, server_side=True) as end:
                seen["client"] = end.getpeercert()
                end.sendall(b"!")

        with ours, in_thread(serve), client.wrap_socket(ours, server_hostname=host) as end:
            seen["server"] = end.getpeercert()
            self.assertEqual(end.recv(1), b"!")
        return seen

    def test_both_sides_accept_the_pair_for_its_names(self):
        pair = self.keygen()
        self.assertEqual(pair["names"], ["localhost", "127.0.0.1", "::1"])
        for name in pair["names"]:
            seen = self.handshake(pair, name)
        self.assertEqual(seen["client"], seen["server"])

    def test_the_names_are_those_asked_for(self):
        pair = self.keygen("--name", "engine.example", "--name", "192.0.2.7", "*.lab.example")
        names = self.handshake(pair, "a.lab.example")["server"]["subjectAltName"]
        self.assertEqual(names, (("DNS", "engine.example"), ("IP Address", "192.0.2.7"), ("DNS", "*.lab.example")))

    def test_another_name_is_refused(self):
        pair = self.keygen("--name", "engine.example")
        with self.assertRaisesRegex(ssl.SSLCertVerificationError, "other.example"):
            self.handshake(pair, "other.example")

    def test_it_is_valid_for_the_days_asked_for(self):
        shown = self.handshake(self.keygen("--days", 10), "localhost")["server"]
        self.assertAlmostEqual(ssl.cert_time_to_seconds(shown["notAfter"]), time.time() + 10 * 86400, delta=120)
        self.assertLess(ssl.cert_time_to_seconds(shown["notBefore"]), time.time())

    def test_the_digest_is_the_certificates(self):
        pair = self.keygen()
        der = ssl.PEM_cert_to_DER_cert(self.read("pair.crt").decode())
        self.assertEqual(pair["certificate_sha256"], hashlib.sha256(der).hexdigest())

    def test_the_key_is_its_owners_whatever_the_umask(self):
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        pair = self.keygen()
        self.assertEqual(stat.S_IMODE(os.stat(pair["key"]).st_mode), 0o600)

    def test_two_pairs_differ(self):
        self.assertNotEqual(self.keygen(prefix="a")["certificate_sha256"], self.keygen(prefix="b")["certificate_sha256"])
        self.assertNotEqual(self.read("a.key"), self.read("b.key"))

    def test_files_that_are_there_stay(self):
        for name in ("pair.key", "pair.crt"):
            self.write(name, "mine")
            self.assertIn(f"{self.path(name)} exists", self.refused(1))
            self.assertEqual(self.read(name), b"mine")
            self.assertEqual(os.listdir(self.dir), [name])
            os.unlink(self.path(name))

    def test_force_replaces_links_themselves(self):
        self.write("elsewhere", "mine")
        os.symlink(self.path("elsewhere"), self.path("pair.key"))
        self.handshake(self.keygen("--force"), "localhost")
        self.assertEqual(self.read("elsewhere"), b"mine")

    def test_what_is_no_name_is_exit_code_2_and_writes_nothing(self):
        for name in ("", "a b", "-a.example", "a..example", "a.*.example", "x" * 64 + ".example", "256.0.0.1"):
            self.assertIn(f"'{name}'", self.refused(2, "--name", name))
        self.refused(2, "--days", 0)
        self.assertEqual(os.listdir(self.dir), [])

    def test_a_folder_that_is_not_there_is_named(self):
        done = run("keygen", "--out", self.path("no/pair"))
        self.assertEqual((done.returncode, b"No such file or directory" in done.stderr), (1, True), done.stderr)


if __name__ == "__main__":
    unittest.main()
