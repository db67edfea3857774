"""An unmodified PostgreSQL, listening on its Unix socket only, used through Ferry over TCP."""
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import unittest

from ferry_process import LIMIT_S, TestCase, run

BIN = "/usr/lib/postgresql/15/bin"
if not os.path.exists(f"{BIN}/postgres"):
    print(f"skipped: no PostgreSQL 15 at {BIN} (apt-get install postgresql-15)", file=sys.stderr)
    sys.exit(77)  # ctest's SKIP_RETURN_CODE

PGBENCH_S = 120
SHORT_CONNECTIONS = 1_000 if os.environ.get("FERRY_SANITIZE") else 10_000


def as_user():
    """PostgreSQL refuses to run as root; its package brings a user."""
    return "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


class Postgres(TestCase):
    def setUp(self):
        super().setUp()
        self.user = as_user()
        os.chmod(self.dir, 0o755)
        self.data = self.path("data")
        os.makedirs(self.data)
        if os.geteuid() == 0:
            shutil.chown(self.dir, self.user)
            shutil.chown(self.data, self.user)
        self.postgres("initdb", "-D", self.data, "--auth=trust", "--no-sync", "-U", "ferry")
        self.postgres("pg_ctl", "-D", self.data, "-w", "-l", self.path("log"), "-o",
                      f"-c listen_addresses='' -c unix_socket_directories='{self.dir}' -c fsync=off", "start")
        self.addCleanup(self.postgres, "pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop")

    def postgres(self, program, *arguments):
        """Runs one of the server's programs, in the directory it may enter; pg_ctl's children must not hold our pipes."""
        done = subprocess.run([f"{BIN}/{program}", *arguments], cwd=self.dir, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, timeout=60,
                              user=self.user if os.geteuid() == 0 else None)
        self.assertEqual(done.returncode, 0, f"{program} failed")

    def client(self, program, descriptor, *arguments, timeout=LIMIT_S, stdin=""):
        host, port = re.fullmatch(r"tcp://(.*):(\d+)", descriptor).groups()
        done = subprocess.run([f"{BIN}/{program}", "-h", host, "-p", port, "-U", "ferry", *arguments],
                              input=stdin, capture_output=True, text=True, timeout=timeout, cwd=self.dir)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def query(self, descriptor, sql):
        return self.client("psql", descriptor, "-d", "postgres", "-Atc", sql).strip()

    def target(self):
        return f"tab.domain://{self.dir}/domain/.s.PGSQL.5432"

    def relay(self, target, listen="tcp://127.0.0.1:0"):
        ferry = self.start("relay", listen, target)
        return ferry, ferry.listening()[0]

    def exercise(self, descriptor):
        self.assertEqual(self.query(descriptor, "select 6 * 7"), "42")
        # A result well above every buffer on the way, checked by its digest on both sides.
        digest = self.query(descriptor, "select md5(string_agg(md5(i::text), '' order by i)) from generate_series(1, 200000) i")
        rows = self.query(descriptor, "select md5(i::text) from generate_series(1, 200000) i order by i")
        self.assertEqual(hashlib.md5(rows.replace("\n", "").encode()).hexdigest(), digest)
        self.client("pgbench", descriptor, "-i", "-q", "-s", "1", "postgres", timeout=PGBENCH_S)
        output = self.client("pgbench", descriptor, "-n", "-c", "8", "-j", "2", "-t", "100", "postgres", timeout=PGBENCH_S)
        self.assertIn("number of transactions actually processed: 800/800", output)
        self.assertIn("number of failed transactions: 0", output)
        self.assertEqual(self.query(descriptor, "select count(*) from pgbench_history"), "800")

    def test_psql_and_pgbench_through_one_relay(self):
        ferry, descriptor = self.relay(self.target())
        self.exercise(descriptor)
        self.assertEqual(ferry.terminate(), 0, ferry.log.text())
        ferry.log.wait_for("0 bytes unaccounted for")

    def through_a_chain(self, listen, middle=None):
        """Through two relays, the inner one of which listens at `listen`; `middle` is how the outer one dials it."""
        inner, inner_descriptor = self.relay(self.target(), listen=listen)
        outer, descriptor = self.relay(middle(inner_descriptor) if middle else inner_descriptor)
        self.exercise(descriptor)
        for ferry in (outer, inner):
            self.assertEqual(ferry.terminate(), 0, ferry.log.text())
            ferry.log.wait_for("0 bytes unaccounted for")
        self.assertEqual([name for name in os.listdir(self.dir) if name.startswith("middle")], [])

    def test_psql_and_pgbench_through_relays_joined_by_a_unix_socket(self):
        self.through_a_chain("uds://" + self.path("middle.sock"))

    def test_psql_and_pgbench_through_relays_joined_by_shared_memory(self):
        self.through_a_chain("shm://" + self.path("middle.shm"))

    def test_psql_and_pgbench_through_relays_joined_by_named_pipes(self):
        self.through_a_chain("npipe://" + self.path("middle.pipe"))

    def test_psql_and_pgbench_through_relays_joined_by_quic(self):
        done = run("keygen", "--out", self.path("pair"))
        self.assertEqual(done.returncode, 0, done.stderr)
        pair = f"cert={self.path('pair.crt')}&key={self.path('pair.key')}"
        self.through_a_chain(f"quic://127.0.0.1:0?{pair}",
                             lambda descriptor: f"{descriptor.split('?')[0]}?ca={self.path('pair.crt')}")

    def test_ten_thousand_short_connections_leave_no_descriptor_behind(self):
        ferry, descriptor = self.relay(self.target())
        self.client("pgbench", descriptor, "-i", "-q", "-s", "1", "postgres", timeout=PGBENCH_S)
        before = ferry.open_descriptors()
        output = self.client("pgbench", descriptor, "-n", "-C", "-S", "-c", "8", "-t", str(SHORT_CONNECTIONS // 8), "postgres",
                             timeout=2 * PGBENCH_S)  # a connection for each transaction
        self.assertIn(f"number of transactions actually processed: {SHORT_CONNECTIONS}/{SHORT_CONNECTIONS}", output)
        self.assertIn("number of failed transactions: 0", output)
        self.assertEqual(self.query(descriptor, "select 1"), "1")
        self.assertLessEqual(ferry.open_descriptors(), before + 2)

    def test_the_transport_is_swapped_by_editing_the_config(self):
        def config(listen):
            return {"links": {"database": {"endpoints": [self.target()]}},
                    "services": [{"name": "pg", "listen": [listen], "service": "relay", "to": "database"}]}

        ferry = self.start("serve", self.write("app.json", config("tcp://127.0.0.1:0")))
        descriptor = ferry.listening()[0]
        self.assertEqual(self.query(descriptor, "select 'over tcp'"), "over tcp")

        os.makedirs(self.path("swapped"))
        socket = self.path("swapped/.s.PGSQL.5432")
        self.write("app.json", config(f"uds://{socket}"))
        ferry.signal(signal.SIGHUP)
        ferry.output.wait_for(re.escape(f"listening uds://{socket}"))
        ferry.log.wait_for("reloaded")
        done = subprocess.run([f"{BIN}/psql", "-h", self.path("swapped"), "-U", "ferry", "-d", "postgres", "-Atc",
                               "select 'over uds'"], capture_output=True, text=True, timeout=LIMIT_S)
        self.assertEqual(done.stdout.strip(), "over uds", done.stderr)
        self.assertEqual(ferry.terminate(), 0)


if __name__ == "__main__":
    unittest.main()
