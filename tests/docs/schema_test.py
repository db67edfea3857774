#!/usr/bin/env python3
"""The exported JSON Schema and `ferry check` are of one mind about what a config may say.

usage: schema_test.py FERRY_BINARY
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import jsonschema

FERRY = sys.argv.pop(1)


def link(**keys):
    return {"links": {"engine": {"endpoints": ["tcp://127.0.0.1:7001"], **keys}}}


def service(**keys):
    return {"services": [{"name": "a", "service": "echo", "listen": ["tcp://127.0.0.1:0"], **keys}]}


GOOD = {
    "nothing": {},
    "a reference to the schema": {"$schema": "./ferry.schema.json"},
    "a link with the core's options": link(connect_deadline="2s", race=True, authkey="secret", spin="20us", linger=0),
    "an endpoint as an object": {
        "links": {"e": {"endpoints": [{"descriptor": "uds:///run/x", "options": {"sndbuf": 4096}}]}}},
    "options of a transport": {"transports": {"tcp": {"nodelay": False, "backlog": 77}, "uds": {"mode": "0660"}}},
    "numbers as text": {"transports": {"tcp": {"backlog": "77"}}},
    "a relay to a link": {**link(), **service(service="relay", to="engine")},
    "an authkey with messages": service(authkey="secret", framing="messages"),
    "a variable with a default": {"transports": {"tcp": {"backlog": "${NO_SUCH_VARIABLE:-77}"}}},
    "a relay by a variable": {**link(), **service(service="${NO_SUCH_VARIABLE:-relay}", to="engine")},
    "messages by a variable": service(authkey="secret", framing="${NO_SUCH_VARIABLE:-messages}"),
    "logging": {"log": {"level": "debug", "format": "json"}},
}
BAD = {
    "an unknown key": {"servces": []},
    "an unknown key of a link": link(conect_deadline="2s"),
    "a link without endpoints": {"links": {"engine": {}}},
    "no endpoint": {"links": {"engine": {"endpoints": []}}},
    "a name that is none": {"links": {"tcp://x": {"endpoints": ["tcp://127.0.0.1:7001"]}}},
    "a duration without a unit": link(connect_deadline=2),
    "a text for a flag": link(race="maybe"),
    "an unknown option of a transport": {"transports": {"tcp": {"nodelai": True}}},
    "a number out of range": {"transports": {"tcp": {"backlog": 0}}},
    "a mode that is not octal": {"transports": {"uds": {"mode": "rw"}}},
    "a choice that is none": {"transports": {"tcp": {"family": "ipv5"}}},
    "a service that is none": service(service="ecko"),
    "a service without a name": {"services": [{"service": "echo", "listen": ["tcp://127.0.0.1:0"]}]},
    "options of a scheme's other spelling": {"transports": {"unix": {"mode": "0600"}}},
    "a relay without a target": service(service="relay"),
    "a target without a relay": service(to="tcp://127.0.0.1:1"),
    "an authkey without messages": service(authkey="secret"),
    "a level that is none": {"log": {"level": "loud"}},
}


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads(subprocess.run([FERRY, "schema"], check=True, capture_output=True, timeout=60).stdout)

    def verdicts(self, config):
        """What the schema and the program think of it."""
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "app.json"
            file.write_text(json.dumps(config))
            code = subprocess.run([FERRY, "check", file], capture_output=True, timeout=60).returncode
        self.assertIn(code, (0, 3))
        return jsonschema.Draft202012Validator(self.schema).is_valid(config), code == 0

    def test_is_a_schema(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)

    def test_both_accept_what_is_good(self):
        for name, config in GOOD.items():
            with self.subTest(name):
                self.assertEqual(self.verdicts(config), (True, True))

    def test_both_refuse_what_is_bad(self):
        for name, config in BAD.items():
            with self.subTest(name):
                self.assertEqual(self.verdicts(config), (False, False))


if __name__ == "__main__":
    unittest.main()
