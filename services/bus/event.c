// event.c - subscriptions by role, and events on to their subscribers.
//
// XPUB in manual mode: nothing is subscribed until the bus says so. A subscription's message
// carries the subscriber's properties, so that each is judged by who asks.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/log.h"
#include "services/bus/broker_state.h"

#include <string.h>

#define TOPIC_MAX 256 // bytes of a topic with terminator

void
broker_on_subscription(struct broker *broker, struct frames *message)
{
    struct sl_str body = frames_get(message, 0);
    if (body.len == 0) {
        return;
    }
    struct sl_str topic = {body.ptr + 1, body.len - 1};
    if (body.ptr[0] == 0) {
        // Also sent for subscriptions that were refused: taking away what is not there is nothing.
        zmq_setsockopt(broker->events.handle, ZMQ_UNSUBSCRIBE, topic.ptr, topic.len);
        return;
    }
    const struct peer_row *peer = broker_sender(broker, message);
    if (body.ptr[0] == 1 && peer != NULL && topic.len < TOPIC_MAX &&
        role_may_subscribe(&peer->role, topic)) {
        zmq_setsockopt(broker->events.handle, ZMQ_SUBSCRIBE, topic.ptr, topic.len);
        return;
    }
    char text[TOPIC_MAX];
    snprintf(text, sizeof(text), "%.*s", topic.len < TOPIC_MAX ? (int)topic.len : 0, topic.ptr);
    sl_log(SL_WARNING, "peer may not follow this",
           SL_LOG_STR("peer", peer != NULL ? peer->name : "unknown"), SL_LOG_STR("topic", text));
}

void
broker_publish(struct broker *broker, struct sl_str topic, struct sl_str body)
{
    const struct sl_str parts[] = {topic, body};
    broker->published++;
    frames_send(&broker->events, parts, SL_COUNT(parts));
}
