"""What holds of a gateway's rows whatever was written at once, in SQL on the deployment's database."""
import re
import subprocess

# What a quota counts: the table, and the column that its scope is; "" for the whole gateway.
COUNTED = {"apis": ("api", ""), "groups": ("api_group", ""), "group_apis": ("api", "group_id"), "apps": ("app", ""),
           "environments": ("environment", ""), "throttles": ("throttle", ""), "app_quotas": ("app_quota", ""),
           "app_codes": ("app_code", "app_id"), "app_apis": ("app_auth", "app_id"), "signs": ("sign", ""),
           "domains": ("group_domain", "group_id"), "channels": ("channel", ""),
           "channel_members": ("channel_member", "vpc_channel_id"), "channel_groups": ("channel_group", "vpc_channel_id")}
# Commands that make and delete, and the table of what they make.
MADE = {"api": "api", "app": "app", "env": "environment", "throttle": "throttle", "channel": "channel",
        "sign": "sign"}


def _counted():
    return " ".join(
        f"WHEN '{quota}' THEN (SELECT count(*) FROM {table} t WHERE t.instance_id = q.instance_id"
        + (f" AND t.{scope} = q.scope)" if scope else ")") for quota, (table, scope) in COUNTED.items())


def _made(command, table):
    return ("SELECT object_id FROM audit WHERE instance_id = '{0}' AND command IN "
            f"('{command}.create', '{command}.delete') GROUP BY object_id"
            f" HAVING count(*) FILTER (WHERE command = '{command}.create') <> 1"
            f" OR count(*) FILTER (WHERE command = '{command}.delete') > 1 OR (count(*) = 1) <> EXISTS"
            f" (SELECT FROM {table} WHERE instance_id = '{{0}}' AND id = object_id)")


# Each answers the rows that break it.
INVARIANTS = {
    "a quota counts what there is":
        "SELECT quota, scope, used FROM quota_spent q WHERE instance_id = '{0}' AND used <> CASE quota "
        + _counted() + " ELSE used END",
    "an API that is online serves one of its own versions":
        "SELECT p.publish_id FROM publication p LEFT JOIN api_version v ON v.instance_id = p.instance_id"
        " AND v.version_id = p.version_id AND v.api_id = p.api_id AND v.env_id = p.env_id"
        " WHERE p.instance_id = '{0}' AND p.version_id IS NOT NULL AND v.version_id IS NULL",
    "ten versions are kept":
        "SELECT api_id FROM api_version WHERE instance_id = '{0}' GROUP BY api_id, env_id HAVING count(*) > 10",
    "no two published definitions answer the same request":
        "SELECT v.definition ->> 'req_uri_shape' FROM publication p JOIN api_version v"
        " ON v.instance_id = p.instance_id AND v.version_id = p.version_id WHERE p.instance_id = '{0}'"
        " GROUP BY p.env_id, v.definition ->> 'group_id', 1, v.definition ->> 'req_method',"
        " v.definition ->> 'match_mode' HAVING count(*) > 1",
    "an authorisation is of what was published":
        "SELECT t.id FROM app_auth t WHERE t.instance_id = '{0}' AND NOT EXISTS (SELECT FROM publication p"
        " WHERE p.instance_id = t.instance_id AND p.api_id = t.api_id AND p.env_id = t.env_id)",
    "every command that was recorded was finished":
        "SELECT command_id FROM audit WHERE instance_id = '{0}' AND status = 0",
    "what is stored of what an API shows is what its rows say":
        "SELECT id FROM ((TABLE api_shown EXCEPT TABLE api_shown_due) UNION ALL"
        " (TABLE api_shown_due EXCEPT TABLE api_shown)) d WHERE instance_id = '{0}'",
    "no key of the runtime is parked":
        "SELECT kind, key FROM runtime_change WHERE gateway_id = '{0}' AND failures > 0",
    **{f"each {command} that was made and not deleted is there, and nothing else": _made(command, table)
       for command, table in MADE.items()},
}


def broken(world):
    """The invariants that do not hold of the story's gateway, with the rows that break them."""
    settings = (world.stack.var / "config/registry-1.yaml").read_text()
    database = re.search(r"^database: *[\"']?(.*?)[\"']?$", settings, re.M).group(1)
    found = {}
    for name, sql in INVARIANTS.items():
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", database, "-c", sql.format(world.instance)],
                              capture_output=True, text=True, timeout=30)
        if done.returncode != 0 or done.stdout.strip():
            found[name] = done.stdout + done.stderr
    return found
