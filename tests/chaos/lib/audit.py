"""What the database holds of the writes that a load made: lost, doubled, unfinished."""
import collections


class Ledger:
    """Compares acknowledged writes with the tables and with the audit."""

    def __init__(self, cluster):
        sql = cluster.database.sql
        gateway = cluster.env["gateway"]
        rows = sql("SELECT name, id, api_call_limits FROM throttle WHERE instance_id = "
                   f"'{gateway}'", "sluice")
        self.stored = {name: (id_, int(value)) for name, id_, value in
                       (row.split("|") for row in rows)}
        rows = sql("SELECT after->>'name', after->>'api_call_limits', count(*) FROM audit WHERE "
                   f"instance_id = '{gateway}' AND command IN ('throttle.create', "
                   "'throttle.update') GROUP BY 1, 2 HAVING count(*) > 1", "sluice")
        self.repeated = {(name, int(value)): int(count) for name, value, count in
                         (row.split("|") for row in rows)}

    def lost(self, writes):
        """Acknowledged writes that are not there."""
        gone = [w.name for w in writes if w.kind == "create" and w.acknowledged
                and self.stored.get(w.name, (None,))[0] != w.id]
        changes = collections.defaultdict(list)
        for write in writes:
            if write.kind == "change":
                changes[write.name].append(write)
        return gone + [name for name, of_one in changes.items()
                       if not may_end_with(of_one, self.stored[name][1])]

    def twice(self, writes):
        """Writes that were applied more often than the client asked.

        A write whose answer never came may be asked again by the client and then be done once for
        each asking; a create that is refused as a duplicate at its first asking was done before.
        """
        found = [w.name for w in writes if w.kind == "create" and w.doubled]
        for write in writes:
            times = self.repeated.get((write.name, write.value), 1)
            if times > len(write.attempts):
                found.append(f"{write.name}={write.value}")
        return found


def may_end_with(changes, stored):
    """Whether `stored` can be the last of changes that overlapped: none that was acknowledged
    began after the change that wrote it had ended."""
    acknowledged = [w for w in changes if w.acknowledged]
    if not acknowledged:
        return True
    of_stored = [w for w in changes if w.value == stored]
    if not of_stored:
        return False
    return all(w.due <= of_stored[0].done for w in acknowledged)
