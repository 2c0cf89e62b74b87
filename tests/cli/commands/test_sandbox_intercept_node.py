"""``sandbox exec --intercept``: Node programs run unchanged, too, though Node heeds no proxy variables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.node_packages import installed
from tests.support.room import Room
from tests.support.servers import Canned, reply
from tests.support.waiting import PATIENCE_SECONDS
from voicectl.sandbox.tls import node

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

CLIENTS = """
const get = (module, url, options = {}) => new Promise((resolve) => {
  const request = require(module).get(url, options, (response) => {
    response.setEncoding("utf8").on("data", (text) => resolve(`${response.statusCode} ${text}`));
  });
  request.on("error", (error) => resolve(`${error.code} ${error.message}`));
});
const load = (url) => fetch(url).then(
  async (response) => `${response.status} ${await response.text()}`,
  (error) => `${error.cause.code} ${error.cause.message}`,
);
const connect = (module, ...where) => new Promise((resolve) => {
  const socket = require(module).connect(...where, () => { resolve("connected"); socket.destroy(); });
  socket.on("error", (error) => resolve(`${error.code} ${error.message}`));
});
const http2 = (url) => new Promise((resolve) => {
  require("http2").connect(url).on("error", (error) => resolve(`${error.code} ${error.message}`));
});
const print = async (...results) => console.log(JSON.stringify(await Promise.all(results)));
"""
"""Clients of several kinds, each of which resolves to a status and a body, or to an error's code and message."""


def run(bare: Room, script: str, *options: str) -> tuple[list[str], str]:
    """Run a script in Node under interception, and return what it prints as JSON, and standard error."""
    ran = bare.process(["sandbox", "exec", "--intercept", *options, "--", "node", "-e", CLIENTS + script])
    assert ran.exit_code == 0, ran.stderr
    return ran.json, ran.stderr


def test_clients_of_every_kind_reach_the_sandbox_under_the_platforms_names(bare: Room) -> None:
    results, errors = run(
        bare,
        """
        const url = "https://api.nexmo.com/v1/calls";
        const agent = new (require("https").Agent)({ keepAlive: true });
        print(
            get("https", url), get("https", url, { agent }), get("https", "https://API.nexmo.com/v1/calls"),
            get("https", "https://api-eu-3.vonage.com/v1/calls"), load(url), load(url.replace("com", "com:443")),
        );
        """,
    )

    assert len(results) == 6
    for each in results:
        status, body = each.split(" ", 1)
        assert (status, json.loads(body)["title"]) == ("401", "Unauthorized")
    assert errors == ""


def test_clients_from_packages_reach_the_sandbox_and_nothing_else(
    bare: Room, tmp_path_factory: pytest.TempPathFactory
) -> None:
    packages = ("node-fetch@2", "undici@6", "axios@1", "old-axios@npm:axios@1.6.8")
    bare.environ["NODE_PATH"] = str(installed(tmp_path_factory, "clients", *packages))

    results, _ = run(
        bare,
        """
        const status = (asked) => asked.then(
            (response) => response.status ?? response.statusCode,
            (error) => error.response?.status ?? "refused",
        );
        const all = (url) => [
            status(require("node-fetch")(url)), status(require("undici").request(url)),
            status(require("axios").get(url)), status(require("old-axios").get(url)),
            status(require("axios").get(url, { proxy: false })),
        ];
        print(...all("https://api.nexmo.com/v1/calls"), ...all("https://example.org/"));
        """,
    )

    assert results[:5] == [401] * 5
    assert set(results[5:]) <= {"refused", 403}


def test_the_sandboxs_certificate_is_checked_against_the_platforms_name(bare: Room) -> None:
    results, _ = run(
        bare,
        """
        const options = { host: "api.nexmo.com", port: 443 };
        print(
            connect("tls", { ...options, servername: "rest.nexmo.com" }),
            connect("tls", { ...options, servername: "example.org" }),
            connect("tls", { ...options, servername: "api.nexmo.com", ca: [] }),
        );
        """,
    )

    right, mismatched, untrusted = results
    assert right == "connected"
    assert mismatched.startswith("ERR_TLS_CERT_ALTNAME_INVALID ")
    assert untrusted.startswith("SELF_SIGNED_CERT_IN_CHAIN ")


def test_every_other_host_is_refused_and_reported(bare: Room) -> None:
    results, errors = run(
        bare,
        """
        print(
            get("https", "https://example.org/"), load("https://example.org/"), load("http://example.org:8080/"),
            get("http", "http://192.0.2.1/"), load("http://[2001:db8::1]/"), http2("https://example.org"),
            connect("net", 5432, "db.example.org"), connect("tls", 443, "api.nexmo.com.example.org"),
            connect("net", 443, "127.0.0.2.example.org"), connect("net", 443, "a\\r\\nHost: api.nexmo.com"),
            get("http", "http://api.nexmo.com/v1/calls"), load("https://api.nexmo.com:8443/v1/calls"),
            connect("net", 443, "*.nexmo.com"), connect("net", 443, "localhost.example.org"),
        );
        """,
    )

    assert len(results) == 14
    for each in results:
        assert each.startswith("ECONNREFUSED The voicectl sandbox refused a connection to "), each
    remarks = errors.splitlines()
    reason = "not a host of the platform on port 443"
    assert f"The proxy refused example.org:443: {reason}, 3 times." in remarks
    assert f"The proxy refused [2001:db8::1]:80: {reason}." in remarks
    assert "Other targets that the proxy refused: 2." in remarks


def test_this_machine_is_reached_as_ever(bare: Room, tmp_path: Path) -> None:
    with Canned(reply(200, b"here")) as server:
        results, errors = run(
            bare,
            f"""
            const local = require("net").createServer((socket) => socket.end());
            local.listen("{tmp_path}/socket", () => print(
                load("http://127.0.0.1:{server.port}/"), load("http://localhost:{server.port}/"),
                get("http", "http://[::ffff:127.0.0.1]:{server.port}/"), connect("net", {server.port}),
                connect("net", {{ path: "{tmp_path}/socket" }}),
                load(process.env.VONAGE_API_HOST + "/v1/calls").then((text) => text.slice(0, 3)),
            ).then(() => local.close()));
            """,
        )

    assert results == ["200 here", "200 here", "200 here", "connected", "connected", "401"]
    assert errors == ""


SMALL = """
Promise.all([load("https://api.nexmo.com/v1/calls"), load("https://example.org/")])
    .then((results) => console.log(results.map((each) => each.split(" ")[0]).join(" ")));
"""


def test_worker_threads_child_processes_and_modules_are_held_too(bare: Room) -> None:
    (bare.home / "small.cjs").write_text(CLIENTS + SMALL)
    (bare.home / "small.mjs").write_text(
        'import { get } from "node:https";\nimport { createRequire } from "node:module";\n'
        "const require = createRequire(import.meta.url);\n"
        + CLIENTS.replace("const get", "const other")
        + SMALL
    )
    script = """
        const { execFileSync } = require("child_process");
        new (require("worker_threads").Worker)("./small.cjs").on("exit", () => {
            for (const file of ["small.cjs", "small.mjs"]) execFileSync("node", [file], { stdio: "inherit" });
        });
    """

    ran = bare.process(["sandbox", "exec", "--intercept", "--", "node", "-e", script])

    assert ran.stdout.splitlines() == ["401 ECONNREFUSED"] * 3
    assert "example.org:443: not a host of the platform on port 443, 3 times." in ran.stderr


def test_a_process_that_lost_the_settings_reaches_no_host_but_this_machine(bare: Room) -> None:
    with Canned(reply(200, b"here")) as server:
        results, _ = run(
            bare,
            f"""
            const {{ PATH, NODE_OPTIONS }} = process.env;
            const script = {json.dumps(CLIENTS)} + 'print(load("https://api.nexmo.com/"), load("{server.url}/"))';
            const {{ execFileSync }} = require("child_process");
            console.log(execFileSync("node", ["-e", script], {{ env: {{ PATH, NODE_OPTIONS }} }}).toString());
            """,
        )

    refused, here = results
    assert refused.startswith("ECONNREFUSED")
    assert here == "200 here"


def test_the_users_node_options_are_kept(bare: Room) -> None:
    (bare.home / "mine.cjs").write_text("globalThis.mine = process.argv0;")
    bare.environ["NODE_OPTIONS"] = "--require ./mine.cjs --no-deprecation"

    results, _ = run(bare, 'print(mine, process.noDeprecation, load("https://api.nexmo.com/v1/calls"))')

    assert results[:2] == ["node", True]
    assert results[2].startswith("401 ")


def test_the_path_of_the_preloaded_module_may_contain_blanks_and_quotes(tmp_path: Path) -> None:
    directory = tmp_path / 'a "b" \\c'
    directory.mkdir()
    preload = shutil.copy(node.PRELOAD, directory)
    script = CLIENTS + 'print(load("https://example.org/"))'

    environ = node.variables("", "http://127.0.0.1:1", "https://127.0.0.1:2", Path(preload))
    ran = subprocess.run(
        ["node", "-e", script],
        env={"PATH": os.environ["PATH"]} | environ,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )

    assert b"ECONNREFUSED The voicectl sandbox refused" in ran.stdout
