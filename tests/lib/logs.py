"""What a deployment's logs must not hold."""
import json
import re

BAD_LEVELS = ("warn", "warning", "error", "alert", "fatal", "critical")
NGINX = re.compile(r"\[(alert|emerg|crit)\]")
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|ThreadSanitizer")


class Watch:
    """Reads the logs of a deployment from where the last look ended."""

    def __init__(self, directory):
        self.directory = directory
        self.offsets = {}

    def faults(self, tolerated=()):
        """New lines that no one expected. `tolerated`: regular expressions on a line."""
        tolerated = [re.compile(pattern) for pattern in tolerated]
        found = []
        for path in sorted(self.directory.glob("*")):
            if not path.is_file():
                continue
            with path.open("rb") as file:
                file.seek(self.offsets.get(path, 0))
                content = file.read()
                self.offsets[path] = file.tell()
            for line in content.decode("utf-8", "replace").splitlines():
                if _is_bad(path, line) and not any(p.search(line) for p in tolerated):
                    found.append(f"{path.name}: {line[:600]}")
        return found


def _is_bad(path, line):
    if path.name.startswith("sanitizer.") or SANITIZER.search(line):
        return True
    if path.name in ("build.log", "packages.log", "postgres.log"):
        return False
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except ValueError:
            return False
        return str(entry.get("level", "")).lower() in BAD_LEVELS
    return bool(NGINX.search(line))
