"""What the generator refuses, and what it makes of a contract that it accepts."""
import copy
import pathlib
import sys
import unittest

PROTO = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else "proto").resolve()
sys.path.insert(0, str(PROTO / "gen"))

import areas  # noqa: E402
import metrics  # noqa: E402
import openapi  # noqa: E402
import rest  # noqa: E402
import schema  # noqa: E402
import unsupported  # noqa: E402

ERRORS = [{"name": "PARAM_MISSING", "code": "APIG.2001", "status": 400, "message": "{0}"}]

AREA = {
    "x-resource": {"thing": {"table": "thing", "errors": {"thing_name_key": "APIG.2001"}}},
    "paths": {"/v2/{project_id}/things": {"post": {
        "operationId": "createThing", "x-service": "registry", "x-command": "thing.create",
        "x-action": "apig:things:create",
        "parameters": [
            {"name": "project_id", "in": "path", "required": True,
             "schema": {"type": "string", "maxLength": 64}},
            {"name": "mode", "in": "query", "schema": {"type": "string", "enum": ["a", "b"]}}],
        "requestBody": {"required": True, "content": {"application/json": {
            "schema": {"$ref": "#/components/schemas/Thing"}, "example": {"name": "abc"}}}},
        "responses": {"201": {"description": "Done", "content": {"application/json": {
            "schema": {"$ref": "#/components/schemas/Thing"}, "example": {"name": "abc"}}}}},
    }}},
    "components": {"schemas": {"Thing": {
        "type": "object", "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 3, "maxLength": 64, "pattern": "^[a-z]+$"},
            "size": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2},
            "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 8}},
            "later": {"type": "string", "maxLength": 8, "x-unsupported": "one day"}}}}},
}
POST = ("paths", "/v2/{project_id}/things", "post")
THING = ("components", "schemas", "Thing", "properties")


def contract_of(change=None):
    """The sample contract after `change(document)`."""
    document = copy.deepcopy(AREA)
    if change:
        change(document)
    contract = areas.Contract()
    areas.add(contract, areas.Area(pathlib.Path("things.yaml"), "apig", document))
    return contract


def at(document, path):
    for key in path:
        document = document[key]
    return document


class Refusals(unittest.TestCase):
    """Each is one missing thing, and a message that names it."""

    def refused(self, change, *words):
        with self.assertRaises(areas.Refused) as caught:
            areas.check(contract_of(change), ERRORS)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_the_sample_itself_is_accepted(self):
        areas.check(contract_of(), ERRORS)

    def test_an_operation_without_an_action(self):
        self.refused(lambda d: at(d, POST).pop("x-action"), "POST /v2/{project_id}/things", "no x-action")

    def test_an_operation_without_a_command(self):
        self.refused(lambda d: at(d, POST).pop("x-command"), "no x-command")

    def test_an_unavailable_operation_that_has_a_service(self):
        self.refused(lambda d: at(d, POST).update({"x-unavailable": True}), "x-unavailable", "x-service")

    def test_an_unavailable_operation_without_an_action(self):
        def change(document):
            post = at(document, POST)
            post["x-unavailable"] = True
            for word in ("x-service", "x-command", "x-action"):
                post.pop(word)
        self.refused(change, "no x-action")

    def test_another_spelling_with_other_parameters(self):
        self.refused(lambda d: at(d, POST).update({"x-alias": "/v2/{instance_id}/stuff"}), "x-alias")

    def test_a_malformed_action(self):
        self.refused(lambda d: at(d, POST).update({"x-action": "create things"}), "create things")

    def test_an_action_that_misses_a_value(self):
        action = {"by": "query.mode", "values": {"a": "apig:things:create"}}
        self.refused(lambda d: at(d, POST).update({"x-action": action}), "each value of query.mode")

    def test_a_constraint_without_a_code(self):
        self.refused(lambda d: d["x-resource"]["thing"]["errors"].update({"thing_name_key": None}),
                     "thing_name_key", "no code")

    def test_a_constraint_with_an_unknown_code(self):
        self.refused(lambda d: d["x-resource"]["thing"]["errors"].update({"thing_name_key": "APIG.9998"}),
                     "APIG.9998", "errors.yaml")

    def test_a_list_beyond_its_maximum_with_an_unknown_error(self):
        self.refused(lambda d: d["components"]["schemas"]["Thing"]["properties"]["tags"].update({"x-too-many": "NONE"}),
                     "Thing", "NONE", "errors.yaml")

    def test_a_request_example_that_its_schema_rejects(self):
        media = POST + ("requestBody", "content", "application/json")
        self.refused(lambda d: at(d, media).update({"example": {"name": "A"}}), "request example", ".name")

    def test_a_response_example_that_its_schema_rejects(self):
        media = POST + ("responses", "201", "content", "application/json")
        self.refused(lambda d: at(d, media).update({"example": {"nome": "abc"}}), "response 201")

    def test_a_string_without_a_maximum(self):
        self.refused(lambda d: at(d, THING)["name"].pop("maxLength"), "body.name", "string without a maximum")

    def test_a_path_string_without_a_maximum(self):
        self.refused(lambda d: at(d, POST)["parameters"][0]["schema"].pop("maxLength"),
                     "path parameter project_id", "string without a maximum")

    def test_a_query_string_without_a_maximum(self):
        self.refused(lambda d: at(d, POST)["parameters"][1]["schema"].pop("enum"),
                     "query parameter mode", "string without a maximum")

    def test_an_array_without_a_maximum(self):
        self.refused(lambda d: at(d, THING)["tags"].pop("maxItems"), "body.tags", "array without a maximum")

    def test_array_elements_without_a_maximum(self):
        self.refused(lambda d: at(d, THING)["tags"]["items"].pop("maxLength"), "body.tags[]")

    def test_a_schema_word_that_nothing_obeys(self):
        self.refused(lambda d: at(d, THING)["size"].update({"multipleOf": 2}), "multipleOf")

    def test_a_word_in_an_answer_that_no_schema_has(self):
        # As YAML reads `{description: What is wrong, for people.}`.
        answer = {"type": "object", "properties": {"x": {"type": "string", "for people.": None}}}
        self.refused(lambda d: d["components"]["schemas"].update({"Answer": answer}), "Answer.x", "for people.")

    def test_a_default_that_its_schema_rejects(self):
        self.refused(lambda d: at(d, THING)["size"].update({"default": 10}), "body.size", "default")

    def test_a_reference_to_nothing(self):
        media = POST + ("requestBody", "content", "application/json")
        self.refused(lambda d: at(d, media).update({"schema": {"$ref": "#/components/schemas/No"}}), "No")

    def test_two_operations_of_one_name(self):
        def twice(document):
            document["paths"]["/v2/{project_id}/more"] = copy.deepcopy(document["paths"]["/v2/{project_id}/things"])
        self.refused(twice, "operationId")

    def test_a_path_parameter_that_is_not_declared(self):
        def rename(document):
            document["paths"]["/v2/{other}/things"] = document["paths"].pop("/v2/{project_id}/things")
        self.refused(rename, "path parameters")

    def test_a_key_that_stands_twice(self):
        path = pathlib.Path(self.id() + ".yaml")
        path.write_text("paths: {}\npaths: {}\n")
        try:
            with self.assertRaisesRegex(areas.Refused, "line 2: paths stands twice"):
                areas.read(path)
        finally:
            path.unlink()


class Output(unittest.TestCase):
    """What an accepted contract becomes."""

    def test_rows_bounds_and_defaults_stand_in_the_table(self):
        text = rest.c_source(contract_of())
        for part in ('"/v2/{project_id}/things"', '.service = "registry"', '.command = "thing.create"',
                     '.name = "apig:things:create"', ".status = 201", ".min = 3, .max = 64", '"^[a-z]+$"',
                     '.fallback = "2"', "SUPPORT_DEFAULT", '"a", "b", NULL'):
            self.assertIn(part, text)

    def test_a_list_beyond_its_maximum_may_have_an_error_of_its_own(self):
        def change(document):
            document["components"]["schemas"]["Thing"]["properties"]["tags"]["x-too-many"] = "PARAM_MISSING"
        contract = contract_of(change)
        areas.check(contract, ERRORS)
        self.assertIn(".too_many = SL_E_PARAM_MISSING", rest.c_source(contract))
        self.assertNotIn("too_many", rest.c_source(contract_of()))

    def test_the_document_has_the_operation_and_the_codes(self):
        document = openapi.document(contract_of(), ERRORS)
        self.assertIn("post", document["paths"]["/v2/{project_id}/things"])
        self.assertEqual(["APIG.2001"], document["x-error-codes"])

    def test_an_unavailable_operation_has_a_row_without_a_service(self):
        def change(document):
            post = at(document, POST)
            post["x-unavailable"] = True
            del post["x-service"], post["x-command"]
        contract = contract_of(change)
        areas.check(contract, ERRORS)
        text = rest.c_source(contract)
        self.assertIn(".service = NULL", text)
        self.assertIn('.command = "createThing"', text)

    def test_both_spellings_lead_to_one_row(self):
        text = rest.c_source(contract_of(lambda d: at(d, POST).update({"x-alias": "/v2/{project_id}/stuff"})))
        self.assertEqual(text.count("static const struct rest_row row_"), 1)
        for spelling in ("things", "stuff"):
            self.assertIn(f'.segment = "{spelling}"', text)

    def test_a_body_that_is_not_json_is_bounded_too(self):
        def change(document):
            content = at(document, POST)["requestBody"]["content"]
            content["multipart/form-data"] = {"schema": {"type": "object", "properties": {"file": {"type": "string"}}}}
            del content["application/json"]
        with self.assertRaises(areas.Refused) as caught:
            areas.check(contract_of(change), ERRORS)
        self.assertIn("file", str(caught.exception))

    def test_a_nullable_reference_has_a_type_in_the_document(self):
        def change(document):
            at(document, THING)["inner"] = {"allOf": [{"$ref": "#/components/schemas/Thing"}], "nullable": True}
        document = openapi.document(contract_of(change), ERRORS)
        self.assertEqual(at(document, THING)["inner"]["type"], "object")

    def test_every_operation_may_fail_as_all_do(self):
        def change(document):
            document["components"]["responses"] = {"Failure": {"description": "Any other refusal"}}
        document = openapi.document(contract_of(change), ERRORS)
        self.assertEqual(at(document, POST)["responses"]["default"], {"$ref": "#/components/responses/Failure"})
        self.assertNotIn("default", at(openapi.document(contract_of(), ERRORS), POST)["responses"])

    def test_a_public_operation_asks_for_no_security(self):
        contract = contract_of(lambda d: at(d, POST).update({"x-action": "public"}))
        areas.check(contract, ERRORS)
        self.assertEqual([], openapi.document(contract, ERRORS)["paths"]["/v2/{project_id}/things"]["post"]["security"])

    def test_a_readme_that_misses_a_field_without_effect_is_refused(self):
        path = pathlib.Path(self.id() + ".md")
        path.write_text(unsupported.HEADING + "\n")
        try:
            with self.assertRaisesRegex(areas.Refused, "later"):
                unsupported.check(contract_of(), path)
            path.write_text(unsupported.HEADING + "\n\n" + unsupported.table(contract_of()) + "\n")
            unsupported.check(contract_of(), path)
        finally:
            path.unlink()


class Metrics(unittest.TestCase):
    """metrics.yaml as C."""

    ROW = {"name": "sluice_x_total", "of": "front", "type": "counter", "labels": [], "help": "X."}

    def load(self, **change):
        path = pathlib.Path(self.id() + ".yaml")
        path.write_text(str({"metrics": [{**self.ROW, **change}]}))
        try:
            return metrics.load(path)
        finally:
            path.unlink()

    def test_a_metric_has_its_name_and_head(self):
        text = metrics.c_header(self.load())
        self.assertIn('#define SL_METRIC_X_TOTAL "sluice_x_total"', text)
        self.assertIn("# TYPE sluice_x_total counter", text)

    def test_a_malformed_metric_is_refused(self):
        for change in ({"name": "x_total"}, {"name": "sluice_x"}, {"type": "meter"}, {"unit": "s"}):
            with self.assertRaises(areas.Refused):
                self.load(**change)


class Rejections(unittest.TestCase):
    """The generator's own reading of schemas, which judges examples."""

    def test_values_are_judged_as_front_judges_them(self):
        contract = contract_of()
        thing = {"$ref": "#/components/schemas/Thing"}
        self.assertIsNone(schema.reject(contract, thing, {"name": "abc", "size": 9, "tags": ["x"]}, ""))
        for value, word in (({}, "name"), ({"name": "ab"}, "outside 3..64"), ({"name": "abc", "size": True}, "size"),
                            ({"name": "abc", "size": 10}, "1..9"), ({"name": "abc", "tags": ["123456789"]}, "tags[0]"),
                            ({"name": "a b"}, "match"), ([], "object")):
            self.assertIn(word, schema.reject(contract, thing, value, ""))

    def test_zero_passes_only_where_it_empties(self):
        contract = contract_of()
        size = {"type": "integer", "minimum": 3, "maximum": 9}
        self.assertIn("3..9", schema.reject(contract, size, 0, ""))
        size["x-zero-empties"] = True
        self.assertIsNone(schema.reject(contract, size, 0, ""))
        self.assertIn("3..9", schema.reject(contract, size, 1, ""))


if __name__ == "__main__":
    unittest.main()
