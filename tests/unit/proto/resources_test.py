"""What the generator of resource rows refuses, and that it makes the statements it promises."""
import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "proto" / "gen"))

import areas
import errors
import resources

SQL = """
CREATE TABLE thing (
    instance_id text NOT NULL CONSTRAINT thing_instance_fkey REFERENCES instance (id),
    id          text NOT NULL,
    name        text NOT NULL,
    size        integer,
    PRIMARY KEY (instance_id, id),
    CONSTRAINT thing_name_key UNIQUE (instance_id, name)
);
CREATE VIEW thing_json AS SELECT instance_id, id, name AS body FROM thing;
ALTER TABLE thing
    ADD COLUMN tint text, -- later
    ADD COLUMN depth integer;
CREATE TABLE loose (
    id text PRIMARY KEY
);
"""
CODES = {"THING_NOT_FOUND", "THING_EXISTS", "THING_QUOTA"}


def words(**changes):
    """A descriptor that is accepted, changed."""
    sample = {"table": "thing", "view": "thing_json", "id": "thing_id", "writable": ["name"],
              "errors": {"not_found": "THING_NOT_FOUND", "thing_name_key": "THING_EXISTS"}}
    sample.update(changes)
    return {key: value for key, value in sample.items() if value is not None}


def descriptor(**changes):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "0001_thing.sql").write_text(SQL)
        tables = resources.Tables(folder)
    item = resources.Descriptor(areas.Area("things.yaml", "apig", {}), "thing", words(**changes), tables, CODES)
    resources.check_constraints([item])
    return item


class Refusals(unittest.TestCase):
    def refused(self, word, **changes):
        with self.assertRaises(areas.Refused) as caught:
            descriptor(**changes).filter_rows()
        self.assertIn(word, str(caught.exception))

    def test_the_sample_itself_is_accepted(self):
        descriptor()

    def test_a_column_that_came_later_is_accepted(self):
        descriptor(writable=["name", "tint", "depth"])

    def test_a_word_that_nothing_obeys(self):
        self.refused("colour", colour="red")

    def test_a_table_that_no_migration_creates(self):
        self.refused("nothing", table="nothing")

    def test_a_table_without_instance_id(self):
        self.refused("instance_id", table="loose", writable=[])

    def test_a_column_that_is_not_there(self):
        self.refused("weight", writable=["name", "weight"])

    def test_a_view_that_is_not_there(self):
        self.refused("other_json", view="other_json")

    def test_a_constraint_of_the_table_without_a_code(self):
        self.refused("thing_name_key", errors={"not_found": "THING_NOT_FOUND"})

    def test_a_row_that_errors_yaml_lacks(self):
        self.refused("NO_SUCH", errors={"not_found": "NO_SUCH", "thing_name_key": "THING_EXISTS"})

    def test_a_resource_without_not_found(self):
        self.refused("not_found", errors={"thing_name_key": "THING_EXISTS"})

    def test_a_creation_that_answers_secrets(self):
        self.refused("made", made="f(t)", secret=[{"name": "size"}])

    def test_a_creation_by_one_statement_that_marks_the_runtime(self):
        self.refused("made", made="f(t)", runtime=[{"kind": "thing", "key": "name"}])

    def test_a_filter_without_a_place_for_its_value(self):
        self.refused("filter", filters={"name": "t.name IS NULL"})

    def test_an_owner_that_no_reference_explains(self):
        self.refused("owner_id", list={"key": "things", "order": "t.id", "of": "owner_id"})


class Statements(unittest.TestCase):
    def test_every_statement_joins_the_gateway_to_the_project(self):
        statements = descriptor(stamp=None).sql()
        self.assertIn("t.instance_id = (SELECT id FROM instance WHERE id = $1 AND project_id = $2)", statements.pop("read"))
        for statement in statements.values():
            self.assertIn("instance i", statement)
            self.assertIn("i.project_id = $2", statement)

    def test_an_update_leaves_columns_alone_that_the_row_lacks(self):
        self.assertIn("jsonb_populate_record(t, $4::jsonb)", descriptor().sql()["update"])

    def test_a_default_stands_in_the_insert_alone(self):
        sql = descriptor(writable=["name", "size"], defaults={"size": "7"}).sql()
        self.assertIn("coalesce(r.size, 7)", sql["insert"])
        self.assertNotIn("coalesce", sql["update"])

    def test_a_creation_that_makes_its_reply_is_one_statement(self):
        sql = descriptor(made="f(t)", references={"name": {"table": "name", "error": "THING_NOT_FOUND"}},
                         quota=[{"name": "things", "limit": 7, "error": "THING_EXISTS"},
                                {"name": "of_name", "scope": "name", "limit": 8, "error": "THING_EXISTS"}]).sql()
        for part in ("RETURNING to_json(t) AS after, f(t) AS body, t.name)", "INSERT INTO audit",
                     "quota_take($1, 'things', '', 1, 7), quota_take($1, 'of_name', name, 1, 8) FROM made",
                     "FROM name k WHERE k.instance_id = $1 AND k.id = r.name FOR KEY SHARE"):
            self.assertIn(part, sql["insert"])
        self.assertNotIn("f(t)", sql["update"])

    def test_hidden_columns_are_left_out_of_answers(self):
        sql = descriptor(masked=["size"]).sql()
        for verb in ("insert", "update", "lock"):
            self.assertIn("- 'size'", sql[verb])

    def test_secrets_may_stand_in_another_table(self):
        item = descriptor(secret=["id"], secret_of={"table": "loose", "id": "name"})
        self.assertIn(" JOIN loose s ON s.instance_id = t.instance_id AND s.id = t.name WHERE", item.sql()["read"])
        with self.assertRaisesRegex(areas.Refused, "table loose has no column size"):
            descriptor(secret=["size"], secret_of={"table": "loose", "id": "name"})
        self.assertEqual(descriptor().secret_join("v"), "")
        self.assertEqual(descriptor(secret=["size"]).secret_join("v"),
                         " JOIN thing s ON s.instance_id = v.instance_id AND s.id = v.id")

    def test_a_list_of_anothers_rows_deletes_none(self):
        sql = descriptor(list={"key": "things", "order": "t.id", "of": "name"},
                         references={"name": {"table": "name", "error": "THING_NOT_FOUND"}}).sql()
        self.assertIsNone(sql["delete"])

    def test_fuzzy_filters_can_lie_within_sql(self):
        rows = descriptor(filters={"part": {"within": "t.id IN (SELECT x FROM y WHERE name [])"}}).filter_rows()
        self.assertEqual(rows, [("part", "t.id IN (SELECT x FROM y WHERE name ILIKE {})",
                                 "t.id IN (SELECT x FROM y WHERE name = {})", None)])
        for within in ("t.name = {}", "t.a [] OR t.b []"):
            with self.assertRaises(areas.Refused):
                descriptor(filters={"part": {"within": within}}).filter_rows()

    def test_fuzzy_filters_can_be_precise(self):
        self.assertEqual(descriptor(filters={"name": "fuzzy"}).filter_rows(),
                         [("name", "t.name ILIKE {}", "t.name = {}", None)])

    def test_precise_search_may_have_another_name_for_a_filter(self):
        self.assertEqual(descriptor(filters={"name": {"fuzzy": "title"}}).filter_rows(),
                         [("name", "t.name ILIKE {}", "t.name = {}", "title")])


class Contract(unittest.TestCase):
    """The real descriptors against the real migrations."""

    def test_it_is_accepted_and_every_resource_has_a_row(self):
        contract = areas.load(ROOT / "proto" / "rest")
        with tempfile.TemporaryDirectory() as folder:
            resources.emit(contract.areas, errors.load(ROOT / "proto" / "errors.yaml"), pathlib.Path(folder))
            table = pathlib.Path(folder, "resource_table.c").read_text()
        names = re.findall(r"\.name = \"(\w+)\"", table)
        self.assertEqual(names, sorted(name for area in contract.areas for name in area.resources))


if __name__ == "__main__":
    unittest.main()
