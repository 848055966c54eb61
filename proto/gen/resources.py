"""x-resource descriptors -> gen/resource_table.c: the engine's rows, with their SQL.

A descriptor's words are listed in services/registry/README.md. Refused: a word that nothing obeys, a
table without instance_id or without named constraints, a constraint of the table that has no code, a
column, view or error row that does not exist.
"""
import pathlib
import re

import areas

WORDS = {"table", "view", "id", "parent", "list", "writable", "internal", "defaults", "secret", "secret_of",
         "masked", "stamp", "filters", "references", "quota", "runtime", "errors", "hooks", "made"}
# Violations that only a bug of ours can cause: the engine opens the gateway first and makes the ids.
OURS = re.compile(r"(_instance_fkey|_pkey)$")


def text(value):
    """A C string literal, or NULL."""
    if value is None:
        return "NULL"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


class Tables:
    """The tables of proto/sql as far as they matter: columns and named constraints."""

    def __init__(self, sql_dir):
        self.columns, self.constraints, self.views = {}, {}, set()
        for path in sorted(pathlib.Path(sql_dir).glob("*.sql")):
            sql = re.sub(r"--[^\n]*", "", path.read_text())
            self.views |= set(re.findall(r"CREATE VIEW (\w+)", sql))
            for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", sql, re.S):
                self.columns[name] = set(re.findall(r"^\s+\"?([a-z_]+)\"?\s+[a-z]", body, re.M))
                self.constraints[name] = set(re.findall(r"CONSTRAINT (\w+)", body))
            for name, body in re.findall(r"ALTER TABLE (\w+)\s+(ADD .*?);", sql, re.S):
                self.columns.setdefault(name, set()).update(re.findall(r"ADD COLUMN \"?([a-z_]+)", body))
                self.constraints.setdefault(name, set()).update(re.findall(r"CONSTRAINT (\w+)", body))


class Descriptor:
    """One resource, checked against the tables and the error rows."""

    def __init__(self, area, name, words, tables, codes):
        self.where = f"{area.product}/{area.name}.yaml: x-resource {name}"
        self.name, self.words, self.tables, self.codes = name, words, tables, codes
        self.table = words.get("table")
        self.writable = fields(words.get("writable"))
        self.secrets = fields(words.get("secret"))
        self.hidden = [column for _, column in self.secrets] + list(words.get("masked", []))
        self.errors = dict(words.get("errors") or {})
        self.check()

    def refuse(self, what):
        raise areas.Refused(f"{self.where}: {what}")

    def check(self):
        unknown = set(self.words) - WORDS
        if unknown:
            self.refuse(f"nothing obeys {', '.join(sorted(unknown))}")
        columns = self.tables.columns.get(self.table)
        if columns is None:
            self.refuse(f"no migration creates table {self.table}")
        if "instance_id" not in columns:
            self.refuse(f"table {self.table} has no instance_id")
        for table, column in self.all_columns():
            if column not in self.tables.columns.get(table, set()):
                self.refuse(f"table {table} has no column {column}")
        owner = self.owner()
        if owner and owner not in self.words.get("references", {}):
            self.refuse(f"references does not say what {owner} names")
        for view in {self.words.get("view"), self.list_word("view")}:
            if view not in self.tables.views:
                self.refuse(f"no migration creates view {view}")
        if "made" in self.words and (self.hidden or self.words.get("runtime")):
            self.refuse("made: such a creation seals nothing and marks nothing")
        if "not_found" not in self.errors:
            self.refuse("errors has no not_found")
        for code in [*self.errors.values(), *(q["error"] for q in self.words.get("quota", [])),
                     *(r["error"] for r in self.words.get("references", {}).values())]:
            if code not in self.codes:
                self.refuse(f"{code} is not the name of a row of errors.yaml")

    def all_columns(self):
        """Every column that the descriptor names, with its table."""
        words = self.words
        named = [column for _, column in self.writable]
        named += words.get("internal", []) + words.get("masked", []) + list(words.get("defaults", {}))
        named += [entry["key"] for entry in words.get("runtime", [])]
        named += [entry["scope"] for entry in words.get("quota", []) if "scope" in entry]
        named += [words[key] for key in ("parent", "stamp") if key in words]
        sealed = [(self.secret_of("table", self.table), column) for _, column in self.secrets]
        return [(self.table, column) for column in named] + sealed

    def secret_of(self, word, own):
        """Where the sealed columns stand: in which table, in the row of the id that which member names."""
        return self.words.get("secret_of", {}).get(word, own)

    def secret_join(self, view):
        """What joins the row with the sealed columns to one of the view."""
        if not self.secrets:
            return ""
        return (f" JOIN {self.secret_of('table', self.table)} s ON s.instance_id = {view}.instance_id"
                f" AND s.id = {view}.{self.secret_of('id', 'id')}")

    def list_word(self, word, fallback=None):
        return (self.words.get("list") or {}).get(word, fallback or self.words.get("view"))

    def order_columns(self):
        """What a list is ordered by: the id, and the columns that its order names."""
        return ", ".join(sorted({"t.id", *re.findall(r"\bt\.\w+", self.list_word("order"))}))

    def owner(self):
        """The parameter that names the row whose rows these are, or None."""
        return self.words.get("parent", (self.words.get("list") or {}).get("of"))

    def owner_row(self):
        """The reference that is the owner, read without a lock."""
        if self.owner() is None:
            return "NULL, NULL, SL_E_OK"
        word = self.words["references"][self.owner()]
        sql = f"SELECT 1 FROM {word['table']} WHERE instance_id = $1 AND id = $2"
        return f"{text(self.owner())}, {text(sql)}, SL_E_{word['error']}"

    def owned_sql(self):
        if "parent" not in self.words:
            return None
        return f"SELECT 1 FROM {self.table} WHERE instance_id = $1 AND id = $2 AND {self.words['parent']} = $3"

    def written(self):
        """The columns that create and update write."""
        parent = [self.words["parent"]] if "parent" in self.words else []
        return parent + [column for _, column in self.writable] + list(self.words.get("internal", []))

    def answer(self, alias):
        """The row as JSON, without what must not be seen: as it stands where nothing is to be taken out."""
        hidden = "".join(f" - '{column}'" for column in self.hidden)
        return f"(to_jsonb({alias}){hidden})::text" if hidden else f"to_json({alias})::text"

    def tenant(self):
        return "i.id = t.instance_id AND i.project_id = $2 AND t.instance_id = $1 AND t.id = $3"

    def sql(self):
        """The six statements."""
        table, columns = self.table, self.written()
        defaults = self.words.get("defaults", {})
        values = [f"coalesce(r.{c}, {defaults[c]})" if c in defaults else f"r.{c}" for c in columns]
        stamp = f", {self.words['stamp']} = now()" if "stamp" in self.words else ""
        names = ", ".join(columns)
        sealed = "".join(f", s.{column}" for _, column in self.secrets)
        statements = {
            "lock": f"SELECT {self.answer('t')} FROM {table} t, instance i WHERE {self.tenant()}"
                    " FOR NO KEY UPDATE OF t",
            "claim": f"SELECT {self.answer('t')} FROM {table} t, instance i WHERE {self.tenant()}"
                     " FOR UPDATE OF t",
            "delete": f"DELETE FROM {table} t USING instance i WHERE {self.tenant()}",
            # The gateway's id by a subquery: a join would carry all that the view shows one node further.
            "read": f"SELECT t.body::text{sealed} FROM {self.words['view']} t"
                    + self.secret_join("t") +
                    " WHERE t.instance_id = (SELECT id FROM instance WHERE id = $1 AND project_id = $2) AND t.id = $3",
            "insert": None,
            "update": None,
        }
        if "of" in (self.words.get("list") or {}):  # another resource's rows: theirs to delete
            statements["lock"] = statements["claim"] = statements["delete"] = None
        if columns:
            statements["insert"] = (
                f"INSERT INTO {table} AS t (instance_id, id, {names}) SELECT i.id, $3, {', '.join(values)}"
                f" FROM instance i, jsonb_populate_record(NULL::{table}, $4::jsonb) r"
                f" WHERE i.id = $1 AND i.project_id = $2 RETURNING {self.answer('t')}")
            if "made" in self.words:
                statements["insert"] = self.whole_sql(statements["insert"])
            statements["update"] = (
                f"UPDATE {table} t SET ({names}) = (SELECT {', '.join('r.' + c for c in columns)}"
                f" FROM jsonb_populate_record(t, $4::jsonb) r){stamp} FROM instance i"
                f" WHERE {self.tenant()} RETURNING {self.answer('t')}")
        return statements

    def whole_sql(self, insert):
        """The insert with all that a creation is beside it, as one statement: the command's turn, what the row
        refers to held before a quota is taken (as common/db/audit.c and quota.c do for the others)."""
        turn = "(SELECT pg_advisory_xact_lock(hashtextextended($5, 0))) turn"
        held = "".join(f" CROSS JOIN LATERAL (SELECT FROM {word['table']} k WHERE k.instance_id = $1 AND k.id = r.{column}"
                       f" FOR KEY SHARE) held_{column}" for column, word in (self.words.get("references") or {}).items())
        quotas = self.words.get("quota", [])
        scopes = "".join(f", t.{quota['scope']}" for quota in quotas if "scope" in quota)
        head, rest = insert.split(" FROM instance i, ")
        source, where = rest.split(" RETURNING ")[0].split(" WHERE ")
        return (f"WITH made AS ({head} FROM {turn} CROSS JOIN instance i CROSS JOIN {source}{held} WHERE {where}"
                f" RETURNING to_json(t) AS after, {self.words['made']} AS body{scopes}), recorded AS (INSERT INTO audit"
                " (command_id, request_id, command, actor, project_id, instance_id, object_id, after, status, reply_text)"
                " SELECT $5, $6, $7, $8, $2, $1, $3, made.after, $9, made.body FROM made) SELECT body"
                + "".join(f", quota_take($1, '{quota['name']}', {quota.get('scope', chr(39) * 2)}, 1, {quota['limit']})"
                          for quota in quotas) + " FROM made")

    def filter_rows(self):
        rows = []
        for parameter, how in (self.words.get("filters") or {}).items():
            exact = f"t.{parameter} = {{}}"
            alias = how.get("fuzzy") if isinstance(how, dict) else None
            if how == "exact":
                rows.append((parameter, exact, None, None))
            elif how == "integer":
                rows.append((parameter, exact + "::integer", None, None))
            elif how == "fuzzy" or alias:
                rows.append((parameter, f"t.{parameter} ILIKE {{}}", exact, alias))
            elif isinstance(how, str) and how.count("{}") == 1:
                rows.append((parameter, how, None, None))
            elif isinstance(how, dict) and how.get("within", "").count("[]") == 1:
                rows.append((parameter, how["within"].replace("[]", "ILIKE {}"), how["within"].replace("[]", "= {}"), None))
            else:
                self.refuse(f"filter {parameter}: exact, integer, fuzzy, {{fuzzy: other name}}, {{within: SQL with one []}}, or"
                            " SQL with one {}")
        return rows

    def reference_rows(self):
        return [(column, f"SELECT 1 FROM {word['table']} WHERE instance_id = $1 AND id = $2 FOR KEY SHARE",
                 word["error"]) for column, word in (self.words.get("references") or {}).items()]


def fields(words):
    """[(field, column)] of a list whose members are `column` or `field: column`."""
    pairs = []
    for word in words or []:
        pairs += list(word.items()) if isinstance(word, dict) else [(word, word)]
    return pairs


def array(kind, name, rows, empty):
    """A static array that ends in an empty row."""
    lines = [f"static const struct {kind} {name}[] = {{"]
    return lines + [f"    {{{row}}}," for row in rows] + [f"    {{{empty}}},", "};"]


def arrays(item):
    """The arrays that a row points to."""
    name, words = item.name, item.words
    pair = lambda rows: [f"{text(field)}, {text(column)}" for field, column in rows]
    out = array("resource_field", f"{name}_writable", pair(item.writable), "NULL, NULL")
    out += array("resource_field", f"{name}_secrets", pair(item.secrets), "NULL, NULL")
    out += array("resource_filter", f"{name}_filters", [", ".join(map(text, row)) for row in item.filter_rows()],
                 "NULL, NULL, NULL, NULL")
    out += array("resource_quota", f"{name}_quotas",
                 [f"{text(q['name'])}, {text(q.get('scope'))}, {q['limit']}"
                  for q in words.get("quota", [])], "NULL, NULL, 0")
    out += array("resource_reference", f"{name}_references",
                 [f"{text(c)}, {text(sql)}, SL_E_{code}" for c, sql, code in item.reference_rows()],
                 "NULL, NULL, SL_E_OK")
    out += array("resource_runtime", f"{name}_runtime",
                 [f"{text(r['kind'])}, {text(r['key'])}" for r in words.get("runtime", [])], "NULL, NULL")
    return out


def row(item):
    """The designated row of one resource."""
    name, words, sql = item.name, item.words, item.sql()
    listed = words.get("list")
    values = {
        "name": text(name), "id_parameter": text(words["id"]), "parent": text(words.get("parent")),
        "table": text(item.table), "list_key": text(listed["key"] if listed else None),
        "list_view": text(item.list_word("view") if listed else None),
        "list_order": text(listed["order"] if listed else None),
        "list_columns": text(item.order_columns() if listed else None),
        **{f"sql_{verb}": text(statement) for verb, statement in sql.items()},
        "owner": f"{{{item.owner_row()}}}", "sql_owned": text(item.owned_sql()),
        "secret_columns": text("".join(f", s.{column}" for _, column in item.secrets)),
        "secret_join": text(item.secret_join("v")), "secret_id": text(item.secret_of("id", "id")),
        **{member: f"{name}_{member}" for member in ("writable", "secrets", "filters", "quotas", "references",
                                                     "runtime")},
        "is_made_whole": "true" if "made" in words else "false",
        "hooks": f"&{name}_hooks" if words.get("hooks") else "NULL",
        "not_found": f"SL_E_{item.errors['not_found']}",
    }
    return ["    {"] + [f"        .{member} = {value}," for member, value in values.items()] + ["    },"]


def check_constraints(items):
    """Every named constraint of a resource's table has a code, here or with another resource."""
    coded = set()
    for item in items:
        coded |= set(item.errors)
    for item in items:
        for constraint in sorted(item.tables.constraints[item.table] - coded):
            if not OURS.search(constraint):
                item.refuse(f"constraint {constraint} of table {item.table} has no code")


def emit(all_areas, error_rows, out_dir):
    """Writes gen/resource_table.c."""
    codes = {entry["name"] for entry in error_rows}
    tables = Tables(pathlib.Path(__file__).resolve().parent.parent / "sql")
    items = [Descriptor(area, name, words, tables, codes)
             for area in all_areas for name, words in area.resources.items()]
    items.sort(key=lambda item: item.name)
    check_constraints(items)
    out = ["// Generated from the x-resource descriptors in proto/rest.", '#include "services/registry/resource.h"', ""]
    for item in items:
        if item.words.get("hooks"):
            out.append(f"extern const struct resource_hooks {item.name}_hooks;")
        out += arrays(item) + [""]
    out += ["const struct resource resource_table[] = {"]
    for item in items:
        out += row(item)
    out += ["};", f"const size_t resource_count = {len(items)};", "", "const struct sl_fault resource_faults[] = {"]
    faults = {c: code for item in items for c, code in item.errors.items() if c != "not_found"}
    for item in items:  # what quota_take names when it refuses
        for quota in item.words.get("quota", []):
            code = faults.setdefault(f"quota_{quota['name']}", quota["error"])
            if code != quota["error"]:
                item.refuse(f"quota {quota['name']} has another error elsewhere")
    for area in all_areas:  # of tables that are no resources
        faults.update(area.document.get("x-faults") or {})
    unknown = set(faults.values()) - codes
    if unknown:
        raise areas.Refused(f"{', '.join(sorted(unknown))} is not the name of a row of errors.yaml")
    out += [f"    {{{text(c)}, SL_E_{code}}}," for c, code in sorted(faults.items())]
    out += ["    {NULL, SL_E_OK},", "};", ""]
    path, content = out_dir / "resource_table.c", "\n".join(out)
    if not path.exists() or path.read_text() != content:
        path.write_text(content)
