"""The cluster's PostgreSQL: one server, or a primary with a synchronous standby."""
import functools
import os
import secrets
import signal

from hosts import run

BIN = "/usr/lib/postgresql/15/bin"
PORT = 5432
START_S = 60
DISK_MB = 400


class Database:
    """Servers postgres-1 (the first primary) and postgres-2, on hosts of the same names."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.password = secrets.token_hex(16)
        self.passfile = cluster.secrets / "pgpass"
        self.passfile.write_text(f"*:*:*:*:{self.password}\n")
        self.passfile.chmod(0o600)
        self.primary = 1
        self.user = "postgres" if os.geteuid() == 0 else None

    @property
    def numbers(self):
        return range(1, self.cluster.databases + 1)

    @property
    def conninfo(self):
        """libpq's: every server, whichever may be written to."""
        hosts = ",".join(self._address(n) for n in self.numbers)
        return (f"host={hosts} port={PORT} dbname=sluice user=sluice passfile={self.passfile} "
                "target_session_attrs=read-write")

    def _address(self, number):
        return self.cluster.hosts[f"postgres-{number}"].address

    def _data(self, number):
        return self.cluster.hosts[f"postgres-{number}"].dir / "data"

    def _as_owner(self, words):
        if self.user is None:
            return list(words)
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups",
                "--pdeathsig", "KILL", *words]

    def _run(self, number, *words):
        host = self.cluster.hosts[f"postgres-{number}"]
        return run(*host.command(self._as_owner(map(str, words))), cwd=host.dir)

    def up(self):
        """Makes and starts the servers, the role and the database."""
        for number in self.numbers:
            name = f"postgres-{number}"
            host = self.cluster.add_host(name)
            if self.cluster.network.isolated:
                # A disk that a row can fill.
                host.here("mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "sluice-chaos",
                          host.dir)
            if self.user:
                run("chown", self.user, host.path)
            self.cluster.unit(name, host, self._as_owner([f"{BIN}/postgres", "-D",
                                                          str(self._data(number))]),
                              stop_signal=signal.SIGINT,
                              ready=functools.partial(self.accepts, number))
        self._init(1)
        first = self.cluster.units["postgres-1"]
        first.start()
        first.wait(START_S)
        self.sql("CREATE ROLE sluice LOGIN PASSWORD '" + self.password + "'")
        self.sql("CREATE DATABASE sluice OWNER sluice")
        if self.cluster.databases > 1:
            self.follow(2, 1)
            self.synchronous(True)

    def _init(self, number):
        host = self.cluster.hosts[f"postgres-{number}"]
        passfile = host.dir / "password"
        (host.path / "password").write_text(self.password)
        (host.path / "password").chmod(0o644)
        self._run(number, f"{BIN}/initdb", "-D", self._data(number), "-U", "postgres",
                  f"--pwfile={passfile}", "--auth=scram-sha-256", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync")
        (host.path / "password").unlink()
        lines = {"unix_socket_directories": "''", "max_connections": "200",
                 "shared_buffers": "64MB", "wal_level": "replica", "wal_log_hints": "on",
                 "wal_receiver_timeout": "5s", "wal_sender_timeout": "5s",
                 # A primary that restarts acknowledges nothing before its standby is back.
                 "wal_retrieve_retry_interval": "500ms"}
        files = host.path / "data"
        with open(files / "postgresql.conf", "a", encoding="ascii") as conf:
            conf.writelines(f"{key} = {value}\n" for key, value in lines.items())
            conf.write("include_if_exists 'here.conf'\n")
        with open(files / "pg_hba.conf", "w", encoding="ascii") as hba:
            hba.write("host all,replication all samenet scram-sha-256\n"
                      "host all all 127.0.0.0/8 scram-sha-256\n"
                      "host replication all 127.0.0.0/8 scram-sha-256\n")
        self._listen(number)

    def _listen(self, number):
        host = self.cluster.hosts[f"postgres-{number}"]
        (host.path / "data" / "here.conf").write_text(
            f"listen_addresses = '{self._address(number)}'\n")

    def follow(self, number, leader):
        """Makes a server anew as a standby of another, and starts it."""
        host = self.cluster.hosts[f"postgres-{number}"]
        passfile = host.dir / "pgpass"
        run("rm", "-rf", host.path / "data")
        (host.path / "pgpass").write_text(self.passfile.read_text())
        (host.path / "pgpass").chmod(0o600)
        if self.user:
            run("chown", self.user, host.path / "pgpass")
        source = (f"host={self._address(leader)} port={PORT} user=postgres passfile={passfile} "
                  f"application_name=standby_{number}")
        self._run(number, f"{BIN}/pg_basebackup", "-D", self._data(number), "-R", "-X", "stream",
                  "-c", "fast", "--no-sync", "-d", source)
        self._listen(number)
        unit = self.cluster.units[f"postgres-{number}"]
        unit.start()
        unit.wait(START_S)

    def promote(self, number):
        """Makes a standby the primary, without a standby of its own yet."""
        self._run(number, f"{BIN}/pg_ctl", "promote", "-w", "-D", self._data(number))
        self.primary = number
        self.synchronous(False)

    def synchronous(self, wanted):
        """Whether a commit waits for the standby."""
        self.set("synchronous_standby_names", "*" if wanted else "")

    def set(self, name, value):
        """Changes a setting of the primary; None: back to what it was."""
        self.sql(f"ALTER SYSTEM RESET {name}" if value is None else
                 f"ALTER SYSTEM SET {name} = '{value}'")
        self.sql("SELECT pg_reload_conf()")

    def fill(self, number):
        """Fills the disk of a server; answers the file that does, to be removed."""
        host = self.cluster.hosts[f"postgres-{number}"]
        ballast = host.path / "ballast"
        host.here("dd", "if=/dev/zero", f"of={host.dir / 'ballast'}", "bs=64k", check=False)
        return ballast

    def accepts(self, number):
        """Whether a server takes connections."""
        return run(f"{BIN}/pg_isready", "-q", "-h", self._address(number), "-p", str(PORT), "-t",
                   "2", check=False).returncode == 0

    def sql(self, text, database="postgres", number=None):
        """Runs a statement as the database's superuser; answers its lines."""
        done = run(f"{BIN}/psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", text,
                   f"host={self._address(number or self.primary)} port={PORT} user=postgres "
                   f"dbname={database} passfile={self.passfile} connect_timeout=5", check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{text}: {done.stderr}")
        return done.stdout.splitlines()
