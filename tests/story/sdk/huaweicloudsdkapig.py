"""the stock SDK from PyPI manages a gateway with AK/SK and a custom endpoint"""
from huaweicloudsdkapig.v2 import ApigClient
from huaweicloudsdkapig.v2 import model as m
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.http.http_config import HttpConfig

SERVED = True
RELEASE = "DEFAULT_ENVIRONMENT_RELEASE_ID"


def story(world):
    env, uid, instance = world.env, world.uid, world.instance
    credentials = BasicCredentials(env["SLUICE_AK"], env["SLUICE_SK"], env["SLUICE_PROJECT_ID"])
    sdk = (ApigClient.new_builder().with_credentials(credentials)
           .with_endpoints([env["SLUICE_ENDPOINT"]]).with_http_config(HttpConfig()).build())

    group = sdk.create_api_group_v2(m.CreateApiGroupV2Request(
        instance_id=instance, body=m.ApiGroupCreate(name=f"sdk_{uid}", remark="by the SDK")))
    world.names["g"] = {"id": group.id, "sl_domain": group.sl_domain}
    listed = sdk.list_api_groups_v2(m.ListApiGroupsV2Request(instance_id=instance, name=f"sdk_{uid}"))
    assert listed.total == 1 and listed.groups[0].id == group.id, listed

    api = sdk.create_api_v2(m.CreateApiV2Request(instance_id=instance, body=m.ApiCreate(
        name=f"sdk_{uid}", group_id=group.id, type=1, req_protocol="BOTH", req_method="GET",
        req_uri="/sdk/{id}", match_mode="NORMAL", auth_type="APP", backend_type="HTTP",
        auth_opt=m.AuthOpt(app_code_auth_type="HEADER"),
        req_params=[m.ReqParamBase(name="id", type="STRING", location="PATH", required=1)],
        backend_params=[m.BackendParamBase(name="id", value="id", location="PATH", origin="REQUEST")],
        backend_api=m.BackendApiCreate(url_domain=env["SLUICE_ECHO_ADDR"], req_protocol="HTTP",
                                       req_method="GET", req_uri="/from-sdk/{id}", timeout=5000))))
    published = sdk.create_or_delete_publish_record_for_api_v2(
        m.CreateOrDeletePublishRecordForApiV2Request(instance_id=instance, body=m.ApiActionInfo(
            action="online", api_id=api.id, env_id=RELEASE)))
    app = sdk.create_an_app_v2(m.CreateAnAppV2Request(
        instance_id=instance, body=m.AppCreate(name=f"sdk_{uid}")))
    world.names["p"] = {"app_key": app.app_key, "app_secret": app.app_secret}
    code = sdk.create_app_code_v2(m.CreateAppCodeV2Request(
        instance_id=instance, app_id=app.id, body=m.AppCodeCreate(app_code=("x" + uid) * 10)))
    world.names["c"] = {"app_code": code.app_code}
    sdk.create_authorizing_apps_v2(m.CreateAuthorizingAppsV2Request(
        instance_id=instance, body=m.ApiAuthCreate(env_id=RELEASE, app_ids=[app.id],
                                                   api_ids=[api.id])))
    throttle = sdk.create_request_throttling_policy_v2(m.CreateRequestThrottlingPolicyV2Request(
        instance_id=instance, body=m.ThrottleBaseInfo(
            name=f"sdk_{uid}", type=1, time_interval=1, time_unit="HOUR", api_call_limits=1000)))
    bound = sdk.associate_request_throttling_policy_v2(m.AssociateRequestThrottlingPolicyV2Request(
        instance_id=instance, body=m.ThrottleApiBindingCreate(
            strategy_id=throttle.id, publish_ids=[published.publish_id])))

    step = {"CALL": "GET /sdk/7", "nodes": [1, 2, "tls"], "app": "p", "soon": True,
            "expect": {"status": 200, "body": {"path": "/from-sdk/7"}}}
    world.tell_step(step)
    world.tell_step({"CALL": "GET /sdk/8", "node": "tls", "code": "c", "soon": True,
                     "expect": {"status": 200}})

    sdk.disassociate_request_throttling_policy_v2(m.DisassociateRequestThrottlingPolicyV2Request(
        instance_id=instance, throttle_binding_id=bound.throttle_applys[0].id))
    sdk.create_or_delete_publish_record_for_api_v2(
        m.CreateOrDeletePublishRecordForApiV2Request(instance_id=instance, body=m.ApiActionInfo(
            action="offline", api_id=api.id, env_id=RELEASE)))
    world.tell_step({"CALL": "GET /sdk/7", "nodes": [1, 2], "app": "p", "soon": True,
                     "expect": {"status": 404}})
    sdk.delete_api_v2(m.DeleteApiV2Request(instance_id=instance, api_id=api.id))
    sdk.delete_request_throttling_policy_v2(m.DeleteRequestThrottlingPolicyV2Request(
        instance_id=instance, throttle_id=throttle.id))
    sdk.delete_app_v2(m.DeleteAppV2Request(instance_id=instance, app_id=app.id))
    sdk.delete_api_group_v2(m.DeleteApiGroupV2Request(instance_id=instance, group_id=group.id))
    try:
        sdk.show_details_of_api_v2(m.ShowDetailsOfApiV2Request(instance_id=instance, api_id=api.id))
        raise AssertionError("a deleted API was shown")
    except ClientRequestException as refused:
        assert refused.status_code == 404 and refused.error_code == "APIG.3002", refused
