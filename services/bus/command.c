// command.c - a command's way through the bus: role, envelope, worker, reply.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/log.h"
#include "common/wire/joined.h"
#include "common/wire/message.h"
#include "services/bus/broker_state.h"

#include <string.h>

#define DEADLINE_MAX_MS 120000 // longer than any command of ours waits
// After its deadline a worker may still be at a command; then its credit returns.
#define GRACE_MS        10000
#define NUMBER_TEXT     24 // a decimal 64-bit number with terminator

// Frames of a message from a client, as proto/bus.md has them.
enum {
    COMMAND_ROUTING,
    COMMAND_WORD,
    COMMAND_ID,
    COMMAND_SERVICE,
    COMMAND_DEADLINE,
    COMMAND_ENVELOPE,
    COMMAND_FRAMES,
};

// And of a brief one: `K` and the deadline are one frame, the rest stands in the envelope.
enum {
    BRIEF_ENVELOPE = COMMAND_WORD + 1,
    BRIEF_FRAMES,
};

// A command as it came, of either form. Views into the message.
struct received {
    const char *client;     // routing id
    struct sl_str id;       // empty: as the envelope says
    struct sl_str service;  // the same
    int64_t deadline_ms;    // left
    struct sl_str envelope; //
    bool is_joined;         // all in one frame
};

void
broker_refuse(struct broker *broker, const char client[FLEET_ROUTING_LEN], struct sl_str id,
              const char *reason)
{
    const struct sl_str parts[] = {{client, FLEET_ROUTING_LEN}, SL_STR("B"), id, sl_str(reason)};
    broker->refused++;
    frames_send(&broker->commands, parts, SL_COUNT(parts));
}

// Answers as the command came: joined, or in frames.
static void
reply_to_client(struct broker *broker, struct sl_str client, struct sl_str id, bool is_joined,
                struct sl_str reply)
{
    const struct sl_str parts[] = {client, SL_STR("R"), id, reply};
    // A client that is gone, or that does not read, has nobody waiting.
    (is_joined ? frames_send_joined : frames_send)(&broker->commands, parts, SL_COUNT(parts));
}

// Hands the stamped envelope to a worker; a worker whose connection is gone is dropped and the
// next one tried.
static void
pass_on(struct broker *broker, const struct received *command)
{
    struct sl_str id = command->id;
    for (;;) {
        bool offered = false;
        struct fleet_worker *worker =
            fleet_pick(broker->fleet, command->service, broker->now_ms, &offered);
        uint64_t token = 0;
        struct flight *flight =
            worker != NULL ? flights_take(broker->flights, worker, &token) : NULL;
        if (flight == NULL) {
            broker_refuse(broker, command->client, id, offered ? "no credit" : "no worker");
            return;
        }
        memcpy(flight->client, command->client, FLEET_ROUTING_LEN);
        memset(flight->id, 0, sizeof(flight->id));
        memcpy(flight->id, id.ptr, id.len);
        flight->is_joined = command->is_joined;
        flight->end_ms = broker->now_ms + command->deadline_ms + GRACE_MS;

        char token_text[NUMBER_TEXT];
        char deadline_text[NUMBER_TEXT];
        snprintf(token_text, sizeof(token_text), "%llu", (unsigned long long)token);
        snprintf(deadline_text, sizeof(deadline_text), "%lld", (long long)command->deadline_ms);
        const struct sl_str parts[] = {{worker->routing, FLEET_ROUTING_LEN},
                                       SL_STR("C"),
                                       sl_str(token_text),
                                       sl_str(deadline_text),
                                       {broker->envelope.ptr, broker->envelope.len}};
        if ((worker->takes_joined ? frames_send_joined : frames_send)(&broker->workers, parts,
                                                                      SL_COUNT(parts))) {
            broker->passed++;
            return;
        }
        flights_end(broker->flights, flight);
        broker_lose_worker(broker, worker);
    }
}

// Whether the envelope is what the frames say, if they do, and the peer may send it; *ret_reason
// says why not.
static bool
check_command(struct broker *broker, struct received *command, const struct peer_row *peer,
              const char **ret_reason)
{
    struct sl_sender sender = {"", "", "", false};
    if (peer != NULL) {
        sender =
            (struct sl_sender){peer->name, peer->role.text, peer->key, role_may_act(&peer->role)};
    }
    struct sl_stamped stamped;
    struct sl_error err;
    sl_buf_reset(&broker->envelope);
    broker->envelope.failed = false;
    *ret_reason = "malformed";
    if (sl_envelope_stamp(&broker->envelope, command->envelope, &sender, &stamped, &err) != 0) {
        return false;
    }
    bool is_brief = command->id.len == 0;
    bool agrees = is_brief || (sl_str_equal(stamped.id, command->id) &&
                               sl_str_equal(stamped.service, command->service));
    if (!agrees || stamped.id.len != SL_ID_LEN) {
        return false;
    }
    command->id = stamped.id;
    command->service = stamped.service;
    if (peer == NULL) {
        *ret_reason = "forbidden";
        return false;
    }
    if (!role_may_call(&peer->role, stamped.service, stamped.name)) {
        char name[128];
        snprintf(name, sizeof(name), "%.*s", SL_STR_FMT(stamped.name));
        sl_log(SL_WARNING, "peer may not call this", SL_LOG_STR("peer", peer->name),
               SL_LOG_STR("role", peer->role.text), SL_LOG_STR("command", name));
        *ret_reason = "forbidden";
        return false;
    }
    return true;
}

static void
on_call(struct broker *broker, struct received *command, const struct peer_row *peer)
{
    const char *reason = "";
    if (!check_command(broker, command, peer, &reason)) {
        broker_refuse(broker, command->client, command->id, reason);
        return;
    }
    if (sl_str_equal(command->service, SL_STR("bus"))) {
        SL_AUTO_BUF reply;
        sl_buf_init(&reply, SL_MESSAGE_MAX);
        broker_status(broker, &reply);
        reply_to_client(broker, (struct sl_str){command->client, FLEET_ROUTING_LEN}, command->id,
                        command->is_joined, (struct sl_str){reply.ptr, reply.len});
        return;
    }
    pass_on(broker, command);
}

// Reads a command of the long form; false when it is malformed.
static bool
read_long(struct frames *message, struct received *command)
{
    command->id = frames_get(message, COMMAND_ID);
    command->service = frames_get(message, COMMAND_SERVICE);
    command->deadline_ms = frames_number(message, COMMAND_DEADLINE);
    command->envelope = frames_get(message, COMMAND_ENVELOPE);
    return message->count == COMMAND_FRAMES && command->id.len == SL_ID_LEN;
}

static bool
read_brief(struct frames *message, struct received *command)
{
    struct sl_str word = frames_get(message, COMMAND_WORD);
    command->envelope = frames_get(message, BRIEF_ENVELOPE);
    return message->count == BRIEF_FRAMES &&
           sl_str_int((struct sl_str){word.ptr + 1, word.len - 1}, &command->deadline_ms);
}

void
broker_on_command(struct broker *broker, struct frames *message)
{
    struct sl_str routing = frames_get(message, COMMAND_ROUTING);
    struct sl_str word = frames_get(message, COMMAND_WORD);
    if (message->count < 2) {
        return;
    }
    const struct peer_row *peer = broker_sender(broker, message);
    bool is_brief = sl_str_starts(word, SL_STR(SL_COMMAND_BRIEF));
    if (is_brief || sl_str_equal(word, SL_STR("C"))) {
        struct received command = {.client = routing.ptr, .is_joined = message->is_joined};
        bool is_good = is_brief ? read_brief(message, &command) : read_long(message, &command);
        if (is_good && command.deadline_ms >= 0 && command.deadline_ms <= DEADLINE_MAX_MS) {
            on_call(broker, &command, peer);
        } else {
            broker_refuse(broker, routing.ptr, command.id, "malformed");
        }
    } else if (sl_str_equal(word, SL_STR("H")) && peer != NULL) {
        const struct sl_str parts[] = {routing, SL_STR("H"), SL_STR(SL_COMMAND_BRIEF),
                                       SL_STR(SL_JOINED_WORD)};
        frames_send(&broker->commands, parts, SL_COUNT(parts));
    }
}

static void
on_reply(struct broker *broker, struct fleet_worker *worker, struct frames *message)
{
    int64_t token = frames_number(message, 2);
    struct flight *flight =
        token >= 0 ? flights_find(broker->flights, (uint64_t)token, worker) : NULL;
    if (flight != NULL && message->count == 4) {
        reply_to_client(broker, (struct sl_str){flight->client, FLEET_ROUTING_LEN},
                        sl_str(flight->id), flight->is_joined, frames_get(message, 3));
        flights_end(broker->flights, flight);
    }
}

static void
on_event(struct broker *broker, const struct peer_row *peer, struct frames *message)
{
    struct sl_str topic = frames_get(message, 2);
    if (message->count != 4) {
        return;
    }
    if (role_may_publish(&peer->role, topic)) {
        broker_publish(broker, topic, frames_get(message, 3));
    } else {
        sl_log(SL_WARNING, "peer may not publish this", SL_LOG_STR("peer", peer->name),
               SL_LOG_STR("role", peer->role.text));
    }
}

// Tells a worker which offer of its this bus knows.
static bool
acknowledge(struct broker *broker, const struct fleet_worker *worker)
{
    char version[NUMBER_TEXT];
    snprintf(version, sizeof(version), "%lld", (long long)worker->offer_version);
    const struct sl_str parts[] = {
        {worker->routing, FLEET_ROUTING_LEN}, SL_STR("W"), sl_str(version), SL_STR(SL_JOINED_WORD)};
    return frames_send(&broker->workers, parts, SL_COUNT(parts));
}

static void
on_offer(struct broker *broker, struct fleet_worker *worker, struct frames *message)
{
    int64_t version = frames_number(message, 2);
    if (message->count != 4 || version < 0) {
        return;
    }
    struct sl_str services = frames_get(message, 3);
    size_t refused = fleet_offer(broker->fleet, worker, version, services);
    if (refused > 0) {
        sl_log(SL_WARNING, "peer may not offer this", SL_LOG_STR("peer", worker->peer),
               SL_LOG_STR("role", worker->role.text), SL_LOG_INT("refused", refused));
    }
    sl_log(SL_INFO, "worker offers", SL_LOG_STR("peer", worker->peer),
           SL_LOG_INT("services", worker->service_count));
    acknowledge(broker, worker);
}

static void
on_beat(struct broker *broker, struct fleet_worker *worker, struct frames *message)
{
    int64_t width = frames_number(message, 4);
    const struct fleet_beat beat = {
        .credits = frames_number(message, 2),
        .load = frames_number(message, 3),
        .width = width > 0 ? width : 0, // an older build has none
        .is_joiner = sl_str_equal(frames_get(message, 5), SL_STR(SL_JOINED_WORD))};
    if (beat.credits >= 0 && beat.load >= 0) {
        fleet_beat(worker, &beat, broker->now_ms);
        acknowledge(broker, worker);
    }
}

void
broker_on_worker(struct broker *broker, struct frames *message)
{
    struct sl_str routing = frames_get(message, 0);
    const struct peer_row *peer = broker_sender(broker, message);
    if (message->count < 2 || routing.len != FLEET_ROUTING_LEN || peer == NULL) {
        return;
    }
    struct sl_str word = frames_get(message, 1);
    if (sl_str_equal(word, SL_STR("E"))) {
        on_event(broker, peer, message);
        return;
    }
    struct fleet_worker *worker = fleet_get(broker->fleet, routing.ptr, peer->name);
    if (worker == NULL || peer->role.kind != ROLE_WORKER) {
        if (worker != NULL) {
            sl_log(SL_WARNING, "peer is no worker", SL_LOG_STR("peer", peer->name),
                   SL_LOG_STR("role", peer->role.text));
            fleet_drop(broker->fleet, worker);
        }
        return;
    }
    worker->role = peer->role;
    worker->seen_ms = broker->now_ms;
    if (sl_str_equal(word, SL_STR("R"))) {
        on_reply(broker, worker, message);
    } else if (sl_str_equal(word, SL_STR("O"))) {
        on_offer(broker, worker, message);
    } else if (sl_str_equal(word, SL_STR("W"))) {
        on_beat(broker, worker, message);
    }
}

void
broker_lose_worker(struct broker *broker, struct fleet_worker *worker)
{
    size_t position = 0;
    size_t lost = 0;
    for (struct flight *flight = flights_next(broker->flights, &position, worker); flight != NULL;
         flight = flights_next(broker->flights, &position, worker)) {
        broker_refuse(broker, flight->client, sl_str(flight->id), "worker lost");
        flights_end(broker->flights, flight);
        lost++;
    }
    sl_log(SL_INFO, "worker gone", SL_LOG_STR("peer", worker->peer), SL_LOG_INT("commands", lost));
    fleet_drop(broker->fleet, worker);
}

// A send to a connection that is gone fails: the quickest way to learn that a worker died.
static bool
is_lost(struct broker *broker, const struct fleet_worker *worker)
{
    return broker->now_ms - worker->seen_ms > FLEET_DEAD_MS ||
           (worker->outstanding > 0 && !acknowledge(broker, worker));
}

static void
end_overdue(struct broker *broker)
{
    size_t position = 0;
    for (struct flight *flight = flights_next(broker->flights, &position, NULL); flight != NULL;
         flight = flights_next(broker->flights, &position, NULL)) {
        if (flight->end_ms < broker->now_ms) {
            flights_end(broker->flights, flight);
        }
    }
}

void
broker_tick(struct broker *broker)
{
    struct fleet_worker *lost = NULL;
    do {
        lost = NULL;
        for (struct fleet_worker *worker = fleet_next(broker->fleet, true);
             worker != NULL && lost == NULL; worker = fleet_next(broker->fleet, false)) {
            lost = is_lost(broker, worker) ? worker : NULL;
        }
        if (lost != NULL) {
            broker_lose_worker(broker, lost);
        }
    } while (lost != NULL);
    if (flights_count(broker->flights) > 0) {
        end_overdue(broker);
    }
}
