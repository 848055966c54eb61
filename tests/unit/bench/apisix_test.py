"""What the bench takes from APISIX's folder: python3 apisix_test.py TESTS [unittest arguments]."""
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest

TESTS = pathlib.Path(sys.argv.pop(1))
sys.path.insert(0, str(TESTS / "bench"))
sys.modules["local"] = types.SimpleNamespace(KEY="key", SECRET="secret", hex_id=str)  # nothing is started here
sys.modules["stack"] = types.SimpleNamespace()

import apisix  # pylint: disable=wrong-import-position

TEMPLATE = """
location / {
    access_by_lua_block {
        apisix.http_access_phase()
    }
    proxy_set_header X-Real-IP $remote_addr;
    {% if enabled_plugins["a-cache"] then %}
    proxy_cache_valid any {% if cache.ttl then %} {* cache.ttl *} {% else %} 10s {% end %};
    {% end %}
    proxy_pass http://backend;
    header_filter_by_lua_block {
        apisix.http_header_filter_phase()
    }
}
location = /proxy_mirror {
    internal;
    {% if timeouts.connect then %}
    proxy_connect_timeout {* timeouts.connect *};
    {% end %}
    proxy_pass $upstream_mirror_uri;
}
"""
DEFAULTS = """nginx_config:
  stream:
    access_log_format: "$protocol"
  http:
    access_log_format: "$remote_addr \\"$request\\""
"""


class FolderTest(unittest.TestCase):
    """A folder with a template and settings of the shape that APISIX has."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.lua = pathlib.Path(place.name)
        for name, text in (("apisix/cli/ngx_tpl.lua", TEMPLATE), ("conf/config-default.yaml", DEFAULTS)):
            (self.lua / name).parent.mkdir(parents=True)
            (self.lua / name).write_text(text)

    def test_the_location_is_drawn_with_the_plugins_that_settings_list(self):
        location, _ = apisix.requests(self.lua)
        self.assertEqual([" ".join(line.split()) for line in location.splitlines() if line.strip()],
                         ["proxy_set_header X-Real-IP $remote_addr;", "proxy_cache_valid any 10s;", "proxy_pass http://backend;"])

    def test_what_settings_leave_out_is_left_out(self):
        self.assertEqual(apisix.requests(self.lua)[1], "internal;")

    def test_the_log_has_the_format_of_http(self):
        self.assertEqual(apisix.log_format(self.lua), '$remote_addr "$request"')

    def test_a_loader_of_a_cache_is_told_from_workers(self):
        # It ends within the run: whoever counted its time would look for it in vain.
        for title, expected in (("nginx: cache loader process", True), ("nginx: worker process", False)):
            with subprocess.Popen([sys.executable, "-c", "print(flush=True); input()", title], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE) as process:
                process.stdout.readline()  # before, its command line may not be there yet
                self.assertEqual(apisix.is_loader(process.pid), expected)
                process.communicate(b"\n")

    def test_the_log_is_not_switched_off_with_those_of_the_other_peers(self):
        # `access_log off` stands at the level above: there, no other one would count.
        self.assertIn("access_log", apisix.SERVERS.split("server {{")[1])
        self.assertNotIn("access_log", apisix.SERVERS.split("server {{")[0])

    def test_all_of_it_has_two_limits_an_id_and_counts(self):
        for name in ("request-id", "key-auth", "limit-count", "limit-req", "prometheus"):
            self.assertIn(f"\n      {name}:", apisix.ROUTE + apisix.MORE)
        self.assertNotIn("limit-count", apisix.ROUTE)

    def test_its_list_of_plugins_is_that_of_its_own_settings(self):
        self.assertNotIn("\nplugins:", apisix.SETTINGS)


if __name__ == "__main__":
    unittest.main()
