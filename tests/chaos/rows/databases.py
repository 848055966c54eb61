"""What can happen to PostgreSQL: failover, a cut, a standby alone, slow, far, no connections."""
from database import PORT
from row import Row


def fail_over(scene):
    """The primary is killed for good; an operator promotes the standby and makes another."""
    database = scene.cluster.database
    old = database.primary
    new = 3 - old
    scene.unit(f"postgres-{old}").stop(9)
    scene.lasts(2)
    database.promote(new)
    scene.healed()
    rejoin(scene, old, new)


def rejoin(scene, old, new):
    """Once writes go on, the old primary comes back as the standby."""
    scene.wait_for_writes()
    database = scene.cluster.database
    database.follow(old, new)
    database.synchronous(True)


def cut_off(scene):
    """The primary's host loses its network: nobody is told, connections just fall silent."""
    database = scene.cluster.database
    old = database.primary
    new = 3 - old
    host = scene.unit(f"postgres-{old}").host
    others = [one for one in scene.cluster.hosts.values() if one is not host]
    host.cut(*others)
    scene.lasts(2)
    database.promote(new)
    scene.healed()
    scene.wait_for_writes()
    scene.unit(f"postgres-{old}").stop(9)
    host.cut()
    database.follow(old, new)
    database.synchronous(True)


def standby_alone(scene):
    """The primary is away and nobody promotes: what can be reached only reads."""
    unit = scene.unit(f"postgres-{scene.cluster.database.primary}")
    unit.stop(9)
    scene.lasts(10)
    unit.start()
    scene.healed()


def no_connections(scene):
    """Every connection is ended and only one is let in again."""
    sql = scene.cluster.database.sql
    sql("ALTER ROLE sluice CONNECTION LIMIT 1")
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sluice'")
    scene.lasts(10)
    sql("ALTER ROLE sluice CONNECTION LIMIT -1")
    scene.healed()


def slow(scene):
    """The primary's link carries 64 kbit/s."""
    host = scene.unit(f"postgres-{scene.cluster.database.primary}").host
    host.slow("64kbit")
    scene.lasts(15)
    host.slow()
    scene.healed()


def far(scene):
    """Every query of every worker takes two seconds."""
    cluster = scene.cluster
    host = scene.unit(f"postgres-{cluster.database.primary}").host
    hosts = [one for name, one in cluster.hosts.items() if name.startswith("control-")]
    end = scene.far_away(hosts, [(host.address, PORT)], 1.0)
    cluster.database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                         "WHERE usename = 'sluice'")
    scene.lasts(20)
    end()
    scene.healed()


def isolated(cluster):
    return None if cluster.network.isolated else "hosts are not isolated"


# Without PostgreSQL leases end: units that were granted ahead last two seconds, shares begin after
# three. What is refused in between is refused to signed calls too.
ROWS = [
    Row("failover of PostgreSQL", fail_over, refused_calls=40, whole_s=30,
        least_units=20),
    Row("the primary loses its network, failover", cut_off, refused_calls=40, whole_s=40,
        least_units=20, needs=isolated),
    Row("only a read-only standby is left for 10 s", standby_alone, refused_calls=40,
        least_units=50),
    Row("PostgreSQL's connections are used up for 10 s", no_connections, refused_calls=40,
        least_units=50),
    Row("every query takes 2 s for 20 s", far, refused_calls=40, whole_s=30, least_units=60,
        needs=isolated),
    Row("PostgreSQL behind 64 kbit/s for 15 s", slow, refused_calls=40, whole_s=30,
        least_units=60, needs=isolated),
]
