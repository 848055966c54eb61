"""a token opens its own project's gateways, the reader's only for reading, a made-up one nothing"""


def story(world):
    made = world.token()
    token = made.headers["x-subject-token"]
    admin = {"token": token}
    world.want(200, "GET", "/api-groups", caller=admin)
    world.want(201, "POST", "/api-groups", {"name": f"by_token_{world.uid}"}, caller=admin)
    shown = world.manage("GET", "/v3/auth/tokens", headers={"X-Subject-Token": token}, caller=admin)
    assert shown.status == 200 and shown.json["token"]["project"]["id"] == world.project, shown
    unknown = world.manage("GET", "/v3/auth/tokens", headers={"X-Subject-Token": token[:-4] + "AAAA"}, caller=admin)
    assert unknown.status == 404 and unknown.json["error_code"] == "SLUICE.0424", unknown

    env = world.env
    made = world.token(env["SLUICE_READER_USERNAME"], env["SLUICE_READER_PASSWORD"])
    assert made.status == 201, made
    reader = {"token": made.headers["x-subject-token"]}
    world.want(200, "GET", "/api-groups", caller=reader)
    refused = world.manage("POST", "/api-groups", {"name": f"no_{world.uid}"}, caller=reader)
    assert refused.status == 403 and refused.json["error_code"] == "APIG.1005", refused
    # Nor can the reader tell a gateway that nobody has from one that is another project's.
    hidden = [world.manage("POST", f"/v2/{world.project}/apigw/instances/{instance}/api-groups", {}, caller=reader)
              for instance in ("0" * 32, env["SLUICE_INSTANCE_ID"])]
    assert [(one.status, one.json["error_code"]) for one in hidden] == [(404, "APIG.3030")] * 2, hidden

    for caller in ({"token": token[:-4] + "AAAA"}, {"token": "x"}, "none",
                   {"ak": env["SLUICE_AK"], "sk": "wrong"}, {"ak": "nobody", "sk": "wrong"}):
        refused = world.manage("GET", "/api-groups", caller=caller)
        assert refused.status == 401, (caller, refused)
        assert refused.json["error_code"].startswith("APIG.10"), refused

    # A token of the served gateway's project says nothing about this story's.
    foreign = world.token(scope={"project": {"id": env["SLUICE_PROJECT_ID"]}})
    other = {"token": foreign.headers["x-subject-token"]}
    refused = world.manage("GET", "/api-groups", caller=other)
    assert refused.status in (401, 403, 404), refused
