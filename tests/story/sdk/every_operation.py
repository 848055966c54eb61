"""the stock SDK drives all 109 operations of APIs, apps, domains, channels and what belongs to them, and no field of a reply is lost"""
import inspect
import json
import re

from authority import Authority
from huaweicloudsdkapig.v2 import ApigClient, apig_client
from huaweicloudsdkapig.v2 import model
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.http.http_config import HttpConfig

SERVED = True
RELEASE = "DEFAULT_ENVIRONMENT_RELEASE_ID"
SECTIONS = ("3.1.", "3.2.", "3.3.", "3.5.", "3.6.", "3.7.", "3.10.", "3.11.", "3.12.", "3.17.", "3.20.", "3.21.", "3.26.",
            "3.28.", "3.29.")
OPERATIONS = 109  # of those sections, as published


def nameless(path):
    return re.sub(r"\{\w+\}", "{}", path)


def sdk_operations():
    """Which operation each method of the client is: {name: (METHOD, path without names)}."""
    rows = re.findall(r'def _(\w+)_http_info\(cls, request\):\s+http_info = \{\s+"method": "(\w+)",\s+'
                      r'"resource_path": "([^"]+)"', inspect.getsource(apig_client))
    return {name: (method, nameless(path)) for name, method, path in rows}


def wanted(contract):
    """The operations of the sections, by the contract: {(METHOD, path without names): section}."""
    return {(method.upper(), nameless(path)): operation["x-section"]
            for path, item in contract["paths"].items() for method, operation in item.items()
            if isinstance(operation, dict) and str(operation.get("x-section", "")).startswith(SECTIONS)}


def lost(raw, parsed, where):
    """The fields of the reply that the model knows and does not hold."""
    if hasattr(parsed, "attribute_map"):
        pairs = [(key, getattr(parsed, name)) for name, key in parsed.attribute_map.items()]
        return [fault for key, value in pairs if isinstance(raw, dict) and raw.get(key) is not None
                for fault in ([f"{where}.{key}"] if value is None else lost(raw[key], value, f"{where}.{key}"))]
    if isinstance(raw, list):
        if not isinstance(parsed, list) or len(raw) != len(parsed):
            return [where]
        return [fault for i, one in enumerate(raw) for fault in lost(one, parsed[i], f"{where}[{i}]")]
    if isinstance(raw, (bool, int, str)) and isinstance(parsed, (bool, int, str)) and raw != parsed:
        return [f"{where}: {raw!r} became {parsed!r}"]
    return []


class Driver:
    """The client, the operations that were driven, and what their replies lost."""

    def __init__(self, world):
        credentials = BasicCredentials(world.env["SLUICE_AK"], world.env["SLUICE_SK"], world.project)
        self.client = (ApigClient.new_builder().with_credentials(credentials)
                       .with_endpoints([world.env["SLUICE_ENDPOINT"]]).with_http_config(HttpConfig()).build())
        self.instance, self.operations = world.instance, sdk_operations()
        self.driven, self.lost = set(), []

    def __call__(self, name, /, **fields):
        kind = getattr(model, "".join(part.capitalize() for part in name.split("_")) + "Request")
        self.driven.add(self.operations[name])
        if "instance_id" in kind.attribute_map:  # certificates have none in their path
            fields.setdefault("instance_id", self.instance)
        reply = getattr(self.client, name)(kind(**fields))
        if reply.raw_content:
            self.lost += lost(json.loads(reply.raw_content), reply, name)
        return reply


def definition(group, name, **fields):
    return {"name": name, "group_id": group, "type": 1, "req_protocol": "BOTH", "req_method": "GET",
            "req_uri": f"/{name}", "match_mode": "NORMAL", "auth_type": "APP", "backend_type": "MOCK", "remark": "r",
            "tags": ["one"], "mock_info": {"result_content": "mock", "remark": "m"}, **fields}


def groups_and_environments(sdk, uid):
    group = sdk("create_api_group_v2", body={"name": f"e_{uid}", "remark": "r"}).id
    sdk("update_api_group_v2", group_id=group, body={"name": f"f_{uid}"})
    assert sdk("show_details_of_api_group_v2", group_id=group).name == f"f_{uid}"
    assert sdk("list_api_groups_v2", name=f"f_{uid}").total == 1
    sdk("check_api_groups_v2", body={"group_name": f"g_{uid}"})
    env = sdk("create_environment_v2", body={"name": f"env_{uid}", "remark": "r"}).id
    sdk("update_environment_v2", env_id=env, body={"name": f"enw_{uid}"})
    assert sdk("list_environments_v2", name=f"enw_{uid}").envs[0].id == env
    variable = sdk("create_environment_variable_v2", body={
        "group_id": group, "env_id": env, "variable_name": "host", "variable_value": "a.example"}).id
    sdk("update_environment_variable_v2", env_variable_id=variable, body={"variable_value": "b.example"})
    sdk("show_details_of_environment_variable_v2", env_variable_id=variable)
    assert sdk("list_environment_variables_v2", group_id=group).total == 1
    sdk("delete_environment_variable_v2", env_variable_id=variable)
    sdk("delete_environment_v2", env_id=env)
    return group


def apis(sdk, uid, group):
    sdk("check_apis_v2", body={"type": "name", "name": f"a_{uid}", "group_id": group})
    api = sdk("create_api_v2", body=definition(group, f"a_{uid}")).id
    sdk("update_api_v2", api_id=api, body=definition(group, f"a_{uid}", remark="s"))
    assert sdk("show_details_of_api_v2", api_id=api).remark == "s"
    assert sdk("list_apis_v2", name=f"a_{uid}").total == 1
    assert "one" in sdk("list_tags_v2").tags
    online = {"action": "online", "api_id": api, "env_id": RELEASE}
    first = sdk("create_or_delete_publish_record_for_api_v2", body=online)
    second = sdk("create_or_delete_publish_record_for_api_v2", body={**online, "remark": "again"})
    assert sdk("list_api_versions_v2", api_id=api).total == 2
    sdk("change_api_version_v2", api_id=api, body={"version_id": first.version_id})
    sdk("list_api_version_detail_v2", version_id=second.version_id)
    assert sdk("list_api_runtime_definition_v2", api_id=api).name == f"a_{uid}"
    debugged = sdk("debug_api_v2", api_id=api, body={
        "mode": "DEVELOPER", "scheme": "HTTPS", "method": "GET", "path": f"/a_{uid}"})
    assert debugged.response.endswith("\n\nmock") and debugged.latency >= 0, debugged
    return api, first.version_id


def apps(sdk, uid, api):
    app = sdk("create_an_app_v2", body={"name": f"p_{uid}", "remark": "r"}).id
    sdk("update_app_v2", app_id=app, body={"name": f"q_{uid}", "remark": "s"})
    assert sdk("show_details_of_app_v2", app_id=app).name == f"q_{uid}"
    assert sdk("list_apps_v2", name=f"q_{uid}").total == 1
    sdk("resetting_app_secret_v2", app_id=app, body={"app_secret": "a-secret-of-its-own"})
    sdk("check_app_v2", app_id=app)
    code = sdk("create_app_code_v2", app_id=app, body={"app_code": ("x" + uid) * 12}).id
    sdk("create_app_code_auto_v2", app_id=app)
    sdk("show_details_of_app_code_v2", app_id=app, app_code_id=code)
    assert sdk("list_app_codes_v2", app_id=app).total == 2
    sdk("delete_app_code_v2", app_id=app, app_code_id=code)
    sdk("update_app_acl", app_id=app, body={"app_acl_type": "PERMIT", "app_acl_values": ["10.0.0.0/8"]})
    assert sdk("show_details_of_app_acl", app_id=app).app_acl_values == ["10.0.0.0/8"]
    sdk("delete_app_acl", app_id=app)
    assert sdk("list_apis_unbinded_to_app_v2", app_id=app, env_id=RELEASE, api_id=api).total == 1
    auth = sdk("create_authorizing_apps_v2", body={"env_id": RELEASE, "app_ids": [app], "api_ids": [api]}).auths[0]
    assert sdk("list_apis_binded_to_app_v2", app_id=app).auths[0].api_id == api
    assert sdk("list_apps_binded_to_api_v2", api_id=api).auths[0].app_id == app
    sdk("canceling_authorization_v2", app_auth_id=auth.id)
    return app


def quotas(sdk, uid, app):
    body = {"name": f"k_{uid}", "call_limits": 9, "time_unit": "DAY", "time_interval": 1, "remark": "r",
            "reset_time": "2020-09-20 00:00:00"}
    quota = sdk("create_app_quota", body=body).app_quota_id
    sdk("update_app_quota", app_quota_id=quota, body={**body, "call_limits": 8})
    assert sdk("show_app_quota", app_quota_id=quota).call_limits == 8
    assert sdk("list_app_quotas", name=f"k_{uid}").quotas[0].app_quota_id == quota
    assert app in [one.app_id for one in sdk("list_app_quota_bindable_apps", app_quota_id=quota, limit=500).apps]
    assert sdk("associate_apps_for_app_quota", app_quota_id=quota, body={"app_ids": [app]}).applies[0].app_id == app
    assert sdk("list_app_quota_bound_apps", app_quota_id=quota).apps[0].app_quota_id == quota
    assert sdk("show_app_bound_app_quota", app_id=app).bound_app_num == 1
    sdk("disassociate_app_quota_with_app", app_quota_id=quota, app_id=app)
    sdk("delete_app_quota", app_quota_id=quota)


def signs(sdk, uid, api):
    sign = sdk("create_signature_key_v2", body={"name": f"s_{uid}", "sign_type": "hmac"}).id
    changed = sdk("update_signature_key_v2", sign_id=sign, body={"name": f"t_{uid}", "sign_secret": "a-secret-of-its-own"})
    assert changed.sign_secret == "a-secret-of-its-own"
    without = sdk("list_apis_not_bound_with_signature_key_v2", sign_id=sign, api_id=api).apis
    body = {"sign_id": sign, "publish_ids": [without[0].publish_id]}
    bound = sdk("associate_signature_key_v2", body=body).bindings[0]
    assert bound.sign_secret == "a-secret-of-its-own" and bound.api_id == api
    assert sdk("list_signature_keys_v2", name=f"t_{uid}").signs[0].bind_num == 1
    assert sdk("list_signature_keys_binded_to_api_v2", api_id=api).bindings[0].sign_key == bound.sign_key
    assert sdk("list_apis_binded_to_signature_key_v2", sign_id=sign).bindings[0].id == bound.id
    sdk("disassociate_signature_key_v2", sign_bindings_id=bound.id)
    sdk("delete_signature_key_v2", sign_id=sign)


def channels(sdk, uid):
    body = {"name": f"c_{uid}", "port": 80, "balance_strategy": 1, "member_type": "ip",
            "member_groups": [{"member_group_name": "one", "member_group_weight": 3}],
            "members": [{"host": "10.0.0.1", "member_group_name": "one"}]}
    at = {"vpc_channel_id": sdk("create_vpc_channel_v2", body=body).id}
    sdk("update_vpc_channel_v2", **at, body={**body, "name": f"d_{uid}", "balance_strategy": 2})
    assert sdk("show_details_of_vpc_channel_v2", **at).members[0].member_group_name == "one"
    assert sdk("list_vpc_channels_v2", name=f"d_{uid}", precise_search="name").total == 1
    sdk("update_health_check", **at, body={
        "protocol": "HTTP", "path": "/h", "http_code": "200", "threshold_normal": 2, "threshold_abnormal": 5,
        "time_interval": 10, "timeout": 5})
    made = sdk("create_member_group", **at, body={"member_groups": [{"member_group_name": "two"}]}).member_groups[0]
    one = {**at, "member_group_id": made.member_group_id}
    sdk("update_member_group", **one, body={"member_group_name": "three", "member_group_weight": 5})
    assert sdk("show_details_of_member_group", **one).member_group_weight == 5
    assert sdk("list_member_groups", **at).total == 2
    added = sdk("adding_backend_instances_v2", **at, body={"members": [{"host": "10.0.0.2", "weight": 7}]}).members
    ids = [member.id for member in added if member.host == "10.0.0.2"]
    sdk("batch_disable_members", **at, body={"member_ids": ids})
    assert sdk("list_backend_instances_v2", **at, name="10.0.0.2").members[0].status == 2
    sdk("batch_enable_members", **at, body={"member_ids": ids})
    sdk("update_backend_instances_v2", **at, body={
        "member_group_name": "three", "members": [{"host": "10.0.0.3"}]})
    sdk("delete_backend_instance_v2", **at, member_id=ids[0])
    sdk("delete_member_group", **one)
    sdk("delete_vpc_channel_v2", **at)


def domains_and_certificates(sdk, uid, group):
    name = f"{group}.example.com"
    domain = sdk("associate_domain_v2", group_id=group, body={"url_domain": name, "min_ssl_version": "TLSv1.2"}).id
    at = {"group_id": group, "domain_id": domain}
    sdk("update_domain_v2", **at, body={"min_ssl_version": "TLSv1.2"})
    sdk("update_sl_domain_setting_v2", group_id=group, body={"sl_domain_access_enabled": True})
    with Authority("sdk") as authority:
        content, key = authority.issue("one", names=f"DNS:{name}")
    body = {"name": f"x_{uid}", "cert_content": content, "private_key": key}
    own = sdk("associate_certificate_v2", **at, body=body).ssl_id
    assert sdk("show_details_of_domain_name_certificate_v2", **at, certificate_id=own).common_name == "one"
    sdk("disassociate_certificate_v2", **at, certificate_id=own)
    certificate = sdk("create_certificate_v2", body={**body, "name": f"y_{uid}"}).id
    sdk("update_certificate_v2", certificate_id=certificate, body={**body, "name": f"z_{uid}"})
    assert sdk("show_details_of_certificate_v2", certificate_id=certificate).common_name == "one"
    assert sdk("list_certificates_v2", name=f"z_{uid}").certs[0].id == certificate
    sdk("batch_associate_certs_v2", **at, body={"certificate_ids": [certificate]})
    assert sdk("list_attached_domains_v2", certificate_id=certificate).bound_domains[0].url_domain == name
    sdk("batch_disassociate_certs_v2", **at, body={"certificate_ids": [certificate]})
    sdk("batch_associate_domains_v2", certificate_id=certificate, body={"domains": [{"domain": name}]})
    sdk("batch_disassociate_domains_v2", certificate_id=certificate, body={"domains": [{"domain": name}]})
    sdk("delete_certificate_v2", certificate_id=certificate)
    sdk("disassociate_domain_v2", **at)


def features(sdk):
    try:  # what it is anyway: the gateway is everybody's
        sdk("create_feature_v2", body={"name": "backend_timeout", "enable": False, "config": '{"max_timeout": 60000}'})
    except ClientRequestException as refused:
        assert refused.error_code == "APIG.3711", refused
    sdk("list_features_v2")
    assert "app_quota" in sdk("list_instance_features", limit=500).features
    for name in ("list_api_quantities_v2", "list_api_groups_quantities_v2", "list_app_quantities_v2"):
        sdk(name)


def story(world):
    sdk, uid = Driver(world), world.uid
    group = groups_and_environments(sdk, uid)
    api, version = apis(sdk, uid, group)
    app = apps(sdk, uid, api)
    quotas(sdk, uid, app)
    signs(sdk, uid, api)
    channels(sdk, uid)
    domains_and_certificates(sdk, uid, group)
    features(sdk)
    sdk("delete_api_by_version_id_v2", version_id=version)
    sdk("batch_publish_or_offline_api_v2", action="online", body={"env_id": RELEASE, "apis": [api]})
    sdk("batch_publish_or_offline_api_v2", action="offline", body={"env_id": RELEASE, "apis": [api]})
    sdk("delete_app_v2", app_id=app)
    sdk("delete_api_v2", api_id=api)
    sdk("delete_api_group_v2", group_id=group)

    assert not sdk.lost, sdk.lost
    expected = wanted(world.manage("GET", "/openapi.json", caller="none").json)
    assert len(expected) == OPERATIONS, len(expected)
    missing = sorted(f"{expected[one]} {one}" for one in set(expected) - sdk.driven)
    assert not missing, missing
