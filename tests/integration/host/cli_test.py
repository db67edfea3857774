"""The command line itself: exit codes, near misses, --json, and that docs/reference/cli.md says what --help says.

`cli_test.py --update` writes the help texts into the page.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from ferry_process import FERRY, LIMIT_S, TestCase, run

PAGE = os.path.join(os.path.dirname(__file__), "../../../docs/reference/cli.md")
BLOCK = re.compile(r"<!-- help:( \w+)? -->\n```text\n(.*?)```\n", re.DOTALL)


def help_text(verb):
    text = run(*([verb] if verb else []), "--help").stdout.decode()
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


def verbs():
    listed = help_text("").split("Subcommands:\n", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^  (\w+) ", listed, re.MULTILINE)


class Usage(TestCase):
    def expect(self, code, *arguments):
        done = run(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout.decode(), done.stderr.decode()

    def test_no_verb_is_exit_code_2(self):
        self.expect(2)

    def test_an_unknown_verb_is_exit_code_2_and_names_the_near_miss(self):
        self.assertIn("did you mean 'serve'?", self.expect(2, "sreve", "app.json")[1])

    def test_an_unknown_option_is_exit_code_2_and_names_the_near_miss(self):
        self.assertIn("did you mean '--drain-timeout'?", self.expect(2, "serve", "--drain-timout", "1s", "x")[1])

    def test_a_missing_or_superfluous_argument_is_exit_code_2(self):
        self.expect(2, "serve")
        self.assertIn("'b'", self.expect(2, "check", "a", "b")[1])

    def test_a_bad_value_is_exit_code_2_and_is_explained(self):
        self.assertIn("--drain-timeout", self.expect(2, "serve", "x", "--drain-timeout", "soon")[1])

    def test_a_malformed_descriptor_is_exit_code_2_and_points_at_the_fault(self):
        self.assertIn("^", self.expect(2, "explain", "tcp://127.0.0.1:1?a=b&a")[1])

    def test_an_unknown_scheme_is_exit_code_4_and_lists_where_it_looked(self):
        error = self.expect(4, "explain", "tpc://127.0.0.1:1")[1]
        self.assertIn("looked in", error)
        for verb in ("connect", "listen"):
            self.expect(4, verb, "tpc://127.0.0.1:1")

    def test_an_address_that_its_transport_does_not_take_is_exit_code_2(self):
        self.assertIn("name the host", self.expect(2, "connect", "tcp://:80")[1])

    def test_the_version(self):
        self.assertRegex(self.expect(0, "--version")[0], r"^\d+\.\d+\.\d+\n$")

    def test_common_options_stand_before_and_after_the_verb(self):
        for arguments in (["--json", "inspect", "tcp"], ["inspect", "tcp", "--json"]):
            self.assertTrue(json.loads(self.expect(0, *arguments)[0])[0]["loaded"])


class Reports(TestCase):
    def test_a_result_that_could_not_be_written_is_exit_code_1(self):
        config = self.write("app.json", {})
        for arguments in (["check", config], ["check", config, "--json"], ["schema"], ["inspect", "tcp", "--json"],
                          ["explain", "tcp://h:1"], ["completion", "bash"], ["serve", "--help"], ["--version"],
                          ["conform", "--list"]):
            with self.subTest(arguments), open("/dev/full", "wb") as full:
                done = subprocess.run([FERRY, *arguments], stdout=full, stderr=subprocess.PIPE, timeout=LIMIT_S)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(b"standard output", done.stderr)

    def test_check_reports_every_problem_in_its_place(self):
        config = self.write("app.json", '{\n  "servces": [],\n  "log": {"level": "loud"}\n}\n')
        done = run("check", config)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr.decode(), r"app\.json:2:\d+ .*did you mean 'services'")
        self.assertRegex(done.stderr.decode(), r"app\.json:3:\d+ /log/level")
        done = run("check", config, "--json")
        report = json.loads(done.stdout)
        self.assertEqual((done.returncode, report["ok"], [p["line"] for p in report["problems"]]), (3, False, [2, 3]))

    def test_check_accepts_a_good_config(self):
        config = self.write("app.json", {"links": {"a": {"endpoints": ["tcp://127.0.0.1:1?nodelay=false"]}}})
        self.assertEqual(run("check", config).returncode, 0)

    def test_check_finds_what_the_core_and_the_plugins_find_at_once(self):
        config = self.write("app.json", {"lok": {}, "links": {"a": {"endpoints": ["tcp://127.0.0.1:99999"]}}})
        report = json.loads(run("check", config, "--json").stdout)
        self.assertEqual([p["pointer"] for p in report["problems"]], ["/lok", "/links/a/endpoints/0"])

    def test_check_finds_what_only_all_options_together_or_the_system_can_tell(self):
        pair = self.path("pair")
        self.assertEqual(run("keygen", "--out", pair).returncode, 0)
        self.assertEqual(run("keygen", "--out", self.path("other")).returncode, 0)
        cert = f"cert={pair}.crt&key={pair}.key"
        bad = {f"quic://127.0.0.1:0?{cert}&pin=zz": "pin",
               f"quic://127.0.0.1:0?cert={pair}.crt&key={self.path('other')}.key": "pair.crt",
               f"quic://127.0.0.1:0?{cert}&client_ca=/missing/ca": "client_ca /missing/ca: No such file",
               f"quic://127.0.0.1:0?cert=/missing/crt&key={pair}.key": "cert /missing/crt: No such file",
               f"quic://127.0.0.1:0?{cert}&keepalive=60s&idle_timeout=30s": "keepalive must be shorter",
               f"uds://{self.path('a.sock')}?allow_uid=nobody-of-this-name": "nobody-of-this-name",
               f"shm://{self.path('b.sock')}?allow_uid=nobody-of-this-name": "nobody-of-this-name"}
        services = [{"name": f"s{i}", "listen": [one], "service": "echo"} for i, one in enumerate(bad)]
        config = self.write("app.json", {"services": services})
        report = json.loads(run("check", config, "--json").stdout)
        self.assertEqual([p["pointer"] for p in report["problems"]], [f"/services/{i}/listen/0" for i in range(len(bad))])
        for problem, words in zip(report["problems"], bad.values()):
            self.assertIn(words, problem["message"])
        # A link may be another program's, on whose files we have no eye.
        config = self.write("links.json", {"links": {"a": {"endpoints": ["quic://127.0.0.1:1?ca=/missing/ca"]},
                                                     "b": {"endpoints": ["quic://127.0.0.1:1?pin=zz"]}}})
        report = json.loads(run("check", config, "--json").stdout)
        self.assertEqual([p["pointer"] for p in report["problems"]], ["/links/b/endpoints/0"])

    def test_what_listening_needs_is_told_by_check_listen_and_conform_in_the_same_words(self):
        words = "listening needs the option 'cert': file of our certificate chain (PEM)"
        service = {"name": "a", "listen": ["quic://127.0.0.1:0"], "service": "relay", "to": "quic://127.0.0.1:1"}
        config = self.write("app.json", {"services": [service], "links": {"b": {"endpoints": ["quic://127.0.0.1:1"]}},
                                         "transports": {"quic": {"client_ca": "ca.crt"}}})
        done = run("check", config, "--json")
        self.assertEqual(done.returncode, 3)
        (problem,) = json.loads(done.stdout)["problems"]  # whoever connects needs none, nor what is for clients to come
        self.assertEqual(problem["pointer"], "/services/0/listen/0")
        self.assertIn(words, problem["message"])
        for verb in (("listen", "quic://127.0.0.1:0"), ("listen", "quic://127.0.0.1:0?cert="), ("conform", "quic")):
            done = run(*verb)
            self.assertEqual((done.returncode, done.stdout), (2, b""), done.stderr)
            self.assertIn(words, done.stderr.decode())

    def test_check_warns_of_a_policy_that_fits_no_file(self):
        config = self.write("app.json", {"plugins": {"allow": ["tpc"]}, "plugin_dirs": ["absent"]})
        done = run("check", config, "--plugin-dir", self.path("gone"))
        self.assertEqual(done.returncode, 0)
        errors = done.stderr.decode()
        for words in ["plugins.allow names 'tpc'", "did you mean 'tcp'?", "absent, which is no folder", "gone is no folder"]:
            self.assertIn(words, errors)

    def test_the_schema_has_the_options_of_the_plugins(self):
        schema = run("schema").stdout.decode()
        json.loads(schema)
        self.assertIn("nodelay", schema)

    def test_a_bad_plugin_is_named_and_left_out_of_the_schema(self):
        pathlib.Path(self.path("bad.so")).write_text("no library")
        done = run("schema", "--plugin-dir", self.dir)
        self.assertIn("bad.so", done.stderr.decode())
        self.assertIn("nodelay", done.stdout.decode())

    def test_a_refused_plugin_that_another_one_replaces_is_named(self):
        pathlib.Path(self.path("tcp.so")).write_text("no library")
        done = run("connect", "tcp://127.0.0.1:1", "--plugin-dir", self.dir)
        self.assertEqual(done.returncode, 5)
        self.assertIn("tcp.so was refused, and ", done.stderr.decode())

    def test_explain_says_where_each_value_is_from(self):
        config = self.write("app.json", {"transports": {"tcp": {"backlog": 77}},
                                         "links": {"a": {"endpoints": ["tcp://127.0.0.1:1?nodelay=false"]}}})
        rows = json.loads(run("explain", "a", "--config", config, "--json").stdout)[0]
        options = {option["name"]: option for option in rows["options"]}
        self.assertEqual(options["nodelay"]["value"], "false")
        self.assertEqual(options["backlog"]["value"], "77")
        self.assertRegex(options["backlog"]["location"], r"app\.json:\d+:\d+")
        self.assertNotEqual(options["nodelay"]["source"], options["backlog"]["source"])
        self.assertTrue(rows["plugin"]["path"].endswith("tcp.so"))

    def test_explain_shows_what_the_kernel_would_clamp(self):
        text = run("explain", "uds:///run/x.sock?sndbuf=1GiB").stdout.decode()
        self.assertRegex(text, r"sndbuf +1GiB .*the system grants (?!1GiB)")

    def test_inspect_reports_a_bad_plugin_with_its_reason_beside_the_good_ones(self):
        with open(self.path("bad.so"), "w") as bad:
            bad.write("this is no library")
        done = run("inspect", "--json", "--plugin-dir", self.dir)
        self.assertEqual(done.returncode, 4)
        rows = {os.path.basename(row["path"]): row for row in json.loads(done.stdout)}
        self.assertFalse(rows["bad.so"]["loaded"])
        self.assertTrue(rows["bad.so"]["reason"])
        self.assertTrue(rows["tcp.so"]["loaded"])

    def test_inspect_says_which_of_two_files_of_one_name_is_used(self):
        rows = json.loads(run("inspect", "tcp", "--json").stdout)
        used = next(row["path"] for row in rows if row["loaded"] and "hidden_by" not in row)
        shutil.copy(used, self.path("tcp.so"))
        rows = json.loads(run("inspect", "tcp", "--json", "--plugin-dir", self.dir).stdout)
        by_path = {row["path"]: row for row in rows}
        self.assertNotIn("hidden_by", by_path[self.path("tcp.so")])
        self.assertEqual(by_path[used]["hidden_by"], self.path("tcp.so"))
        self.assertIn("not used: " + self.path("tcp.so"), run("inspect", "tcp", "--plugin-dir", self.dir).stdout.decode())

    def test_inspect_of_an_unknown_plugin_is_exit_code_4(self):
        self.assertEqual(run("inspect", "nosuch").returncode, 4)
        self.assertIn(b"did you mean 'tcp'?", run("inspect", "tcpp").stderr)

    def test_inspect_of_a_file_without_its_folder_says_how_to_write_it(self):
        self.write("mine.so", "")
        done = subprocess.run([FERRY, "inspect", "mine.so"], cwd=self.dir, capture_output=True, timeout=LIMIT_S)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"write ./mine.so", done.stderr)

    def test_conform_of_an_unknown_plugin_is_exit_code_4_and_lists_where_it_looked(self):
        done = run("conform", "nosuch", "--plugin-dir", self.dir)
        self.assertEqual(done.returncode, 4)
        self.assertIn(self.dir.encode(), done.stderr)

    def test_lists_and_scripts_as_json_are_json(self):
        self.assertIn("ending.half_close", [test["name"] for test in json.loads(run("conform", "--list", "--json").stdout)])
        script = json.loads(run("completion", "bash", "--json").stdout)
        self.assertEqual(script, {"shell": "bash", "script": run("completion", "bash").stdout.decode()})

    def doctor(self, *arguments):
        done = run("doctor", "--json", *arguments)
        return done.returncode, {row["subject"]: row for row in json.loads(done.stdout)}

    def test_doctor_reports_what_it_examined(self):
        code, rows = self.doctor()
        self.assertIn(code, (0, 1))
        self.assertIn("net.core.somaxconn", rows)
        self.assertTrue(any("plugins load" in row["found"] for row in rows.values()))

    def test_doctor_says_why_a_plugin_does_not_load(self):
        with open(self.path("bad.so"), "w") as bad:
            bad.write("this is no library")
        code, rows = self.doctor("--plugin-dir", self.dir)
        self.assertEqual(code, 4)
        self.assertIn("0 of 1", rows["plugin folder " + self.dir]["found"])
        self.assertIn("no ELF library", rows["plugin " + self.path("bad.so")]["advice"])

    def test_doctor_says_why_a_folder_is_not_safe(self):
        os.chmod(self.dir, 0o777)
        code, rows = self.doctor("--plugin-dir", self.dir)
        self.assertEqual(code, 4)
        self.assertIn("chmod go-w", rows["plugin folder " + self.dir]["advice"])

    def test_doctor_passes_over_folders_that_are_not_there(self):
        code, rows = self.doctor("--plugin-dir", self.path("absent"))
        self.assertIn(code, (0, 1))
        self.assertEqual(rows["plugin folder " + self.path("absent")]["found"], "not there")

    @unittest.skipUnless(os.geteuid() == 0, "only root gives a program to a group that it is not in")
    def test_a_privileged_program_ignores_the_plugin_path_of_its_user(self):
        if os.statvfs(self.dir).f_flag & os.ST_NOSUID:
            self.skipTest("this file system has no privileged programs")
        folder = self.path("theirs")
        os.mkdir(folder)
        program = self.path("ferry")
        shutil.copy(FERRY, program)
        command = [program, "doctor", "--json"]
        for mode, is_searched in [(0o755, True), (0o2755, False)]:
            os.chown(program, 0, 65534)  # after which the kernel clears the bits
            os.chmod(program, mode)
            done = subprocess.run(command, capture_output=True, env={**os.environ, "FERRY_PLUGIN_PATH": folder})
            subjects = [row["subject"] for row in json.loads(done.stdout)]
            self.assertEqual("plugin folder " + folder in subjects, is_searched, subjects)

    def test_a_log_as_json_is_json(self):
        done = run("connect", "tcp://127.0.0.1:1", "--log-format", "json")
        self.assertEqual(done.returncode, 5)
        self.assertEqual(json.loads(done.stderr)["level"], "error")


class Completion(TestCase):
    """What bash itself makes of the script."""

    @classmethod
    def setUpClass(cls):
        cls.script = run("completion", "bash").stdout.decode()

    def complete(self, *words):
        quoted = " ".join(f"'{word}'" for word in words)
        commands = f"{self.script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _ferry; echo \"${{COMPREPLY[*]}}\""
        done = subprocess.run(["bash", "--norc", "-u", "-c", commands], capture_output=True, timeout=30)
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode().split()

    def test_every_verb_is_offered(self):
        self.assertEqual(sorted(self.complete("ferry", "")), sorted(verbs()))

    def test_a_verb_is_completed(self):
        self.assertEqual(self.complete("ferry", "--json", "ser"), ["serve"])

    def test_the_options_are_those_of_the_verb(self):
        self.assertEqual(self.complete("ferry", "serve", "app.json", "--dr"), ["--drain-timeout"])
        self.assertEqual(self.complete("ferry", "check", "--dr"), [])
        self.assertIn("--version", self.complete("ferry", "--"))

    def test_the_values_of_an_option_are_its_choices(self):
        self.assertEqual(self.complete("ferry", "serve", "--log-format", ""), ["text", "json"])
        self.assertEqual(self.complete("ferry", "--log-level", "d"), ["debug"])
        self.assertEqual(self.complete("ferry", "completion", ""), ["bash"])

    def test_file_names_are_left_to_bash(self):
        self.assertEqual(self.complete("ferry", "check", "app"), [])
        self.assertIn("complete -o default -F _ferry ferry", self.script)


class Page(unittest.TestCase):
    def test_the_page_says_what_help_says(self):
        with open(PAGE) as page:
            blocks = dict((verb.strip(), text) for verb, text in BLOCK.findall(page.read()))
        self.assertEqual(set(blocks), {"", *verbs()}, "run cli_test.py --update")
        for verb, text in blocks.items():
            self.assertEqual(text, help_text(verb), f"ferry {verb} --help has changed: run cli_test.py --update")


def update():
    with open(PAGE) as page:
        text = page.read().split("\n## Verbs\n")[0]
    text = BLOCK.sub(lambda _: block(""), text) + "\n## Verbs\n"
    for verb in verbs():
        text += f"\n### ferry {verb}\n\n" + block(verb)
    with open(PAGE, "w") as page:
        page.write(text)


def block(verb):
    return f"<!-- help:{' ' + verb if verb else ''} -->\n```text\n{help_text(verb)}```\n"


if __name__ == "__main__":
    update() if "--update" in sys.argv else unittest.main()
