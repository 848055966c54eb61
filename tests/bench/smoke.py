"""smoke: every bench for a second, a few at a time, to keep them working; nobody looks at the figures."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time

import every

SHORT = ["--rounds", "1", "--seconds", "1", "--smoke"]
# What runs, the longest first.
BENCHES = [
    ["publish", "--sizes", "10", "--publishes", "3"],
    ["fleet", "--apis", "200", "--publishes", "10", "--rate", "500", "--tunnels", "20", *SHORT],
    ["proxy", *SHORT],
    ["shapes", *SHORT],
    ["peers", *SHORT],
    ["rates", *SHORT],
    ["instructions", *SHORT],
    ["scale", "--apis", "10", *SHORT],
    ["memory", "--apis", "10", *SHORT],
    ["cold", "--apis", "10", *SHORT],
    ["handshakes", "--certificates", "50", *SHORT],
    ["management", "--apis", "2000", *SHORT],
    ["keys", "--keys", "2000", *SHORT],
    ["limits", "--real", "--units", "second", "--nodes", "2", *SHORT],
    ["accounting", "--nodes", "2", *SHORT],
]
NEEDS = {"peers": ["/usr/bin/caddy", "/usr/lib/nginx/modules/ngx_http_lua_module.so"], "shapes": ["/usr/bin/h2load"]}
AT_ONCE = 4
LIMIT_S = 240  # of one bench, however busy the machine


def play(words, build):
    """Runs one bench; answers its name, seconds and what went wrong ("" when nothing did)."""
    begin = time.monotonic()
    command = [sys.executable, pathlib.Path(__file__).with_name("bench.py"), *words, "--build", build]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S)
        fault = "" if done.returncode == 0 else (done.stdout + done.stderr)[-3000:] or f"status {done.returncode}"
    except subprocess.TimeoutExpired:
        fault = f"not done after {LIMIT_S} s"
    return words[0], time.monotonic() - begin, fault


def run(options):
    """Prints a line a bench; answers those that failed."""
    wanted, passed = [], 0
    failed = sorted({words[0] for words in BENCHES} ^ {words[0] for _, words in every.RUNS} ^ every.ELSEWHERE)
    for name in failed:
        print(f"FAIL bench {name}: in one of `smoke` and `all` only")
    for words in BENCHES:
        missing = [path for path in NEEDS.get(words[0], []) if not os.path.exists(path)]
        if missing:
            print(f"left out: {words[0]} needs {', '.join(missing)} (deploy/deps.sh bench)")
        else:
            wanted.append(words)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for name, seconds, fault in pool.map(lambda words: play(words, options.build), wanted):
            passed += not fault
            print(f"{'FAIL' if fault else 'ok  '} bench {name} ({seconds:.0f} s)" + (f"\n{fault}" if fault else ""), flush=True)
            failed += [name] if fault else []
    print(f"bench: {passed} passed, {len(failed)} failed")
    return failed
