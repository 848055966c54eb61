"""apisix_folder: a folder with APISIX and the modules that it needs, from their public sources by git; nothing of it is kept in
this tree. `python3 apisix_folder.py DIR` makes one to keep; `run.sh peers` without --apisix makes its own where git reaches them.

What git is told about addresses (`url.….insteadOf`) is obeyed. C parts are compiled with cc, against liblua5.1-0-dev.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

HOST = "https://github.com/"
ASK_S, CLONE_S = 20, 120  # one question, one repository
APISIX = "3.2.2"
# Repository, tag, the folder whose content goes into ours ("": the files themselves), and what of it is taken.
SOURCES = [
    ("apache/apisix", APISIX, "", ["apisix", "conf"]),
    ("Kong/lua-resty-worker-events", "1.0.0", "lib", ["resty"]),
    ("Tieske/binaryheap.lua", "version_0v4", "src", ["binaryheap.lua"]),
    ("api7/jsonschema", "v0.9.8", "lib", ["jsonschema", "jsonschema.lua"]),
    ("api7/lua-resty-dns-client", "v7.0.1", "src", ["resty"]),
    ("api7/lua-resty-etcd", "v1.10.4", "lib", ["resty"]),
    ("api7/lua-resty-expr", "v1.3.2", "lib", ["resty"]),
    ("api7/lua-resty-healthcheck", "v2.2.2", "lib", ["resty"]),
    ("api7/lua-resty-http", "v0.2.0", "lib", ["resty"]),
    ("api7/lua-resty-ipmatcher", "v0.6.1", "", ["resty"]),
    ("api7/lua-resty-radixtree", "v2.8.2", "lib", ["resty"]),
    ("api7/lua-tinyyaml", "v0.3.0", "", ["tinyyaml.lua"]),
    ("api7/lua-var-nginx-module", "v0.5.2", "lib", ["resty"]),
    ("bjornbytes/graphql-lua", "v0.0.2", "", ["graphql", "graphql.lua"]),
    ("bungle/lua-resty-template", "v2.0", "lib", ["resty"]),
    ("cloudflare/lua-resty-cookie", "v0.1.0", "lib", ["resty"]),
    ("doujiang24/lua-resty-kafka", "v0.20", "lib", ["resty"]),
    ("golgote/neturl", "0.9-1", "lib", ["net"]),
    ("iskolbin/lbase64", "v1.5.2", "", ["base64.lua"]),
    ("knyar/nginx-lua-prometheus", "0.20220527", "", ["prometheus.lua", "prometheus_keys.lua", "prometheus_resty_counter.lua"]),
    ("openresty/lua-resty-balancer", "v0.04", "lib", ["resty"]),
    ("openresty/lua-resty-dns", "v0.21", "lib", ["resty"]),
    ("openresty/lua-resty-limit-traffic", "v0.08", "lib", ["resty"]),
    ("openresty/lua-resty-lock", "v0.08", "lib", ["resty"]),
    ("openresty/lua-resty-signal", "v0.03", "lib", ["resty"]),
    ("openresty/lua-resty-string", "v0.12", "lib", ["resty"]),
    ("openresty/lua-resty-websocket", "v0.09", "lib", ["resty"]),
    ("openresty/lua-tablepool", "v0.02", "lib", ["tablepool.lua"]),
    ("starwing/lua-protobuf", "0.4.1", "", ["protoc.lua"]),
    ("iresty/lua-typeof", "v0.1", "lib", ["typeof.lua"]),
    ("thibaultcha/lua-resty-jit-uuid", "0.0.7", "lib", ["resty"]),
    ("tokers/lua-resty-ctxdump", "v0.1", "lib", ["resty"]),
]
# What is compiled: repository, tag, library, files of the repository.
LIBRARIES = [
    ("api7/lua-resty-radixtree", "v2.8.2", "librestyradixtree.so", ["src/easy_rax.c", "src/rax.c"]),
    ("openresty/lua-resty-balancer", "v0.04", "librestychash.so", ["chash.c"]),
    ("openresty/lua-cjson", "2.1.0.9", "cjson.so", ["lua_cjson.c", "strbuf.c", "fpconv.c"]),
    ("starwing/lua-protobuf", "0.4.1", "pb.so", ["pb.c"]),
]
LUA = "/usr/include/lua5.1"


class OutOfReach(Exception):
    """Its text says what could not be had."""


def git(limit_s, *words):
    try:
        return subprocess.run(["git", *words], check=True, capture_output=True, timeout=limit_s, stdin=subprocess.DEVNULL,
                              env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}).stdout
    except (subprocess.SubprocessError, OSError) as fault:
        said = (getattr(fault, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        raise OutOfReach(f"git {words[0]}: {said[-1] if said else fault}") from None


class Clones:
    """Each repository at its tag, cloned once."""

    def __init__(self, place):
        self.place = pathlib.Path(place)

    def get(self, name, tag):
        clone = self.place / name.replace("/", "+")
        if not clone.exists():
            git(CLONE_S, "clone", "--quiet", "--bare", "--depth", "1", "--branch", tag, HOST + name, str(clone))
        return clone

    def unpack(self, name, tag, folder, wanted, into):
        """The paths `wanted` of `folder`, without that folder in front."""
        tree = f"{tag}:{folder}" if folder else tag
        packed = git(CLONE_S, "--git-dir", str(self.get(name, tag)), "archive", "--format=tar", tree, *wanted)
        subprocess.run(["tar", "-x", "-C", into], input=packed, check=True)


def make(into):
    """Fills a folder that does not exist; raises OutOfReach, and leaves nothing, where something is not to be had."""
    into = pathlib.Path(into)
    git(ASK_S, "ls-remote", "--exit-code", HOST + SOURCES[0][0], f"refs/tags/{APISIX}")
    with tempfile.TemporaryDirectory(dir=into.parent) as place:
        clones, part = Clones(pathlib.Path(place) / "clones"), pathlib.Path(place) / "folder"
        clones.place.mkdir()
        part.mkdir()
        for source in SOURCES:
            clones.unpack(*source, part)
        for name, tag, library, files in LIBRARIES:
            code = pathlib.Path(place) / library.split(".")[0]
            code.mkdir()
            clones.unpack(name, tag, "", [], code)
            compiled = subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-w", f"-I{LUA}", "-o", part / library, *files], cwd=code,
                                      capture_output=True, text=True, check=False)
            if compiled.returncode:
                raise OutOfReach(f"{library}: {compiled.stderr.strip()[:200]}")
        part.chmod(0o755)
        part.rename(into)


def found(given, place, wanted):
    """(folder, "") or (None, why not): the one that was given, or, if `wanted`, one made below `place`."""
    if given or not wanted:
        return given, "no --apisix DIR"
    try:
        make(place / "apisix-modules")
    except OutOfReach as fault:
        return None, f"no --apisix DIR, and its sources are out of reach ({fault})"
    return place / "apisix-modules", ""


if __name__ == "__main__":
    try:
        make(sys.argv[1])
    except OutOfReach as missing:
        sys.exit(str(missing))
