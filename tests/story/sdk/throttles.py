"""the stock SDK makes all fifteen calls of policies, bindings and excluded throttles"""
from huaweicloudsdkapig.v2 import ApigClient
from huaweicloudsdkapig.v2 import model as m
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.http.http_config import HttpConfig

SERVED = True


def story(world):
    env, instance = world.env, world.instance
    credentials = BasicCredentials(env["SLUICE_AK"], env["SLUICE_SK"], env["SLUICE_PROJECT_ID"])
    sdk = (ApigClient.new_builder().with_credentials(credentials)
           .with_endpoints([env["SLUICE_ENDPOINT"]]).with_http_config(HttpConfig()).build())
    world.group("g")
    for name in ("a", "b"):
        world.api(name, auth_type="APP")
        world.publish(name)
    world.app("p")
    world.auth("p", "a")

    def policy(name, **limits):
        return sdk.create_request_throttling_policy_v2(m.CreateRequestThrottlingPolicyV2Request(
            instance_id=instance, body=m.ThrottleBaseInfo(
                name=f"{name}_{world.uid}", type=1, time_interval=1, time_unit="DAY", **limits)))

    made = policy("sdk", api_call_limits=50, app_call_limits=1)
    world.made.append(f"/throttles/{made.id}")
    spec = {"instance_id": instance, "throttle_id": made.id}
    assert sdk.show_details_of_request_throttling_policy_v2(
        m.ShowDetailsOfRequestThrottlingPolicyV2Request(**spec)).app_call_limits == 1
    sdk.update_request_throttling_policy_v2(m.UpdateRequestThrottlingPolicyV2Request(
        **spec, body=m.ThrottleBaseInfo(name=made.name, type=1, time_interval=1, time_unit="DAY",
                                        api_call_limits=60)))
    listed = sdk.list_request_throttling_policy_v2(m.ListRequestThrottlingPolicyV2Request(
        instance_id=instance, name=made.name, precise_search="name"))
    assert listed.total == 1 and listed.throttles[0].api_call_limits == 60, listed

    bound = sdk.associate_request_throttling_policy_v2(m.AssociateRequestThrottlingPolicyV2Request(
        instance_id=instance, body=m.ThrottleApiBindingCreate(
            strategy_id=made.id, publish_ids=[world.names["a"]["publish_id"]])))
    with_it = sdk.list_apis_binded_to_request_throttling_policy_v2(
        m.ListApisBindedToRequestThrottlingPolicyV2Request(**spec))
    assert [api.id for api in with_it.apis] == [world.names["a"]["id"]], with_it
    without = sdk.list_apis_unbinded_to_request_throttling_policy_v2(
        m.ListApisUnbindedToRequestThrottlingPolicyV2Request(**spec, api_id=world.names["b"]["id"]))
    assert without.total == 1 and without.apis[0].name == world.names["b"]["name"], without
    of_api = sdk.list_request_throttling_policies_binded_to_api_v2(
        m.ListRequestThrottlingPoliciesBindedToApiV2Request(
            instance_id=instance, api_id=world.names["a"]["id"]))
    assert [t.id for t in of_api.throttles] == [made.id], of_api

    special = sdk.create_special_throttling_configuration_v2(
        m.CreateSpecialThrottlingConfigurationV2Request(**spec, body=m.ThrottleSpecialCreate(
            call_limits=1, object_id=world.names["p"]["id"], object_type="APP")))
    changed = sdk.update_special_throttling_configuration_v2(
        m.UpdateSpecialThrottlingConfigurationV2Request(**spec, strategy_id=special.id,
                                                        body=m.ThrottleSpecialUpdate(call_limits=2)))
    assert changed.call_limits == 2 and changed.app_name == world.names["p"]["name"], changed
    specials = sdk.list_special_throttling_configurations_v2(
        m.ListSpecialThrottlingConfigurationsV2Request(**spec))
    assert [s.id for s in specials.throttle_specials] == [special.id], specials

    world.settle("a")
    replies = world.admitted(2, lambda number: world.call("GET", "/a", 1 + number % 2, app="p"))
    statuses = [reply.status for reply in replies]
    assert statuses.count(200) == 2 and set(statuses) == {200, 429}, statuses

    sdk.delete_special_throttling_configuration_v2(m.DeleteSpecialThrottlingConfigurationV2Request(
        **spec, strategy_id=special.id))
    ended = sdk.batch_disassociate_throttling_policy_v2(m.BatchDisassociateThrottlingPolicyV2Request(
        instance_id=instance, action="delete", body=m.ThrottleBindingBatchDelete(
            throttle_bindings=[bound.throttle_applys[0].id, "0" * 32])))
    assert ended.success_count == 1 and ended.failure[0].error_code == "APIG.3012", ended
    bound = sdk.associate_request_throttling_policy_v2(m.AssociateRequestThrottlingPolicyV2Request(
        instance_id=instance, body=m.ThrottleApiBindingCreate(
            strategy_id=made.id, publish_ids=[world.names["a"]["publish_id"]])))
    sdk.disassociate_request_throttling_policy_v2(m.DisassociateRequestThrottlingPolicyV2Request(
        instance_id=instance, throttle_binding_id=bound.throttle_applys[0].id))
    sdk.delete_request_throttling_policy_v2(m.DeleteRequestThrottlingPolicyV2Request(**spec))
    try:
        sdk.show_details_of_request_throttling_policy_v2(
            m.ShowDetailsOfRequestThrottlingPolicyV2Request(**spec))
        raise AssertionError("a deleted policy was shown")
    except ClientRequestException as refused:
        assert refused.status_code == 404 and refused.error_code == "APIG.3005", refused
