"""Throughput of one stream over the loopback: Ferry to Ferry beside quic-go to quic-go and quinn to quinn, in turns. Run by
scripts/release-check, on a machine with nothing else to do.
"""
import json
import os
import statistics
import subprocess
import unittest

from ferry_process import FERRY, LIMIT_S, Lines, run
from quic_peer import QuicTestCase, skip_without_peer

QUINN = os.path.join(os.path.dirname(FERRY), "../tests/quinn_peer")
ROUNDS = int(os.environ.get("QUIC_BULK_ROUNDS", 5))
BYTES = 512 << 20


class Bulk(QuicTestCase):
    def quic_go(self, port):
        """Bytes per second."""
        (stream,), _ = self.peer_client(port, behaviour="bulk", size=BYTES)
        self.assertEqual((stream["sent"], stream["error"]), (BYTES, ""))
        return BYTES / stream["bulk_seconds"]

    def quinn_server(self):
        """With a pair of its own: its TLS reads no private key in the form that GnuTLS writes, nor trusts a CA's as a server's."""
        self.quinn_cert, key = self.path("quinn.crt"), self.path("quinn.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                        "-out", self.quinn_cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-addext", "basicConstraints=critical,CA:FALSE"], check=True, stderr=subprocess.DEVNULL)
        server = subprocess.Popen([QUINN, "server", self.quinn_cert, key], stdout=subprocess.PIPE)
        output = Lines(server.stdout)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait, LIMIT_S)
        self.addCleanup(server.kill)
        return output.wait_for(r'"listening":"127\.0\.0\.1:(\d+)"').group(1)

    def quinn(self, port):
        done = subprocess.run([QUINN, "client", self.quinn_cert, port, str(BYTES)], stdout=subprocess.PIPE, timeout=LIMIT_S)
        self.assertEqual(done.returncode, 0)
        return BYTES / json.loads(done.stdout)["bulk_seconds"]

    def ferry(self):
        done = run("bench", "quic", "--measures", "bulk", "--planes", "blocking", "--spin", "off", "--rounds", 3,
                   "--duration", "500ms", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        (figure,) = json.loads(done.stdout)["figures"]
        return figure["median"]

    def test_ferry_is_ahead(self):
        quic_go = self.peer_server(behaviour="discard")
        contenders = {"ferry": self.ferry, "quic-go": lambda: self.quic_go(quic_go.port)}
        if os.path.exists(QUINN):
            quinn = self.quinn_server()
            contenders["quinn"] = lambda: self.quinn(quinn)
        else:
            print("quinn_peer was not built: cargo or librust-quinn-dev is missing")
        rates = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, measure in contenders.items():
                rates[name].append(measure())
        medians = {name: statistics.median(values) for name, values in rates.items()}
        for name, values in rates.items():
            print(f"{name}: {medians[name] / 1e6:.0f} MB/s ({min(values) / 1e6:.0f} to {max(values) / 1e6:.0f})")
        ours = medians.pop("ferry")
        for name, theirs in medians.items():
            print(f"ferry carries {ours / theirs:.2f} times what {name} does")
            self.assertGreater(ours, theirs)


if __name__ == "__main__":
    skip_without_peer()
    unittest.main()
