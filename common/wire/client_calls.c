// client_calls.c - commands in flight: which bus has each, when it goes elsewhere, when it ends.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/hash.h"
#include "common/wire/client_state.h"
#include "common/wire/joined.h"

#include <czmq.h>
#include <stdio.h>
#include <string.h>

#define NO_BUS_MS 2000 // a command waits so long for any bus to be there
#define NO_WORKER_MS                                                                               \
    1500               // and so long for a worker of its service: one that restarts is back by then
#define RETRY_MS    25 // between two tries
#define LOST_MAX    5  // workers that may die under one command before it is suspected
#define SCAN_MS     5  // deadlines are looked at this often
#define DEEP        64 // commands in one bus before another gets some
#define PATIENT_MS  1000 // a call that may wait so long is sent on its caller's thread
#define QUIET_MS    750  // a bus that has not even answered a heartbeat for so long is passed over
#define NUMBER_TEXT 24   // a decimal 64-bit number with terminator

// The call leaves the bus that holds it.
static void
leave_bus(struct sl_bus_client *client, struct call *call)
{
    if (call->bus != -1) {
        client->buses[call->bus].held--;
        call->bus = -1;
    }
}

static void
remove_call(struct sl_bus_client *client, struct call *call)
{
    leave_bus(client, call);
    zhashx_delete(client->calls_by_id, call->id);
    if (call->prev != NULL) {
        call->prev->next = call->next;
    } else {
        client->calls = call->next;
    }
    if (call->next != NULL) {
        call->next->prev = call->prev;
    }
    call->prev = call->next = NULL; // it may go to the inbox, whose last ends the list
}

static void
end_with_error(struct sl_bus_client *client, struct call *call, enum sl_code code, const char *why)
{
    remove_call(client, call);
    client_deliver_error(client, call, code, why);
}

static bool
send_to(struct sl_bus_client *client, struct call *call, size_t index)
{
    struct sl_link *link = &client->buses[index].commands;
    char text[sizeof(SL_COMMAND_BRIEF) + NUMBER_TEXT];
    snprintf(text, sizeof(text), SL_COMMAND_BRIEF "%lld",
             (long long)(call->end_ms - client->now_ms));
    const struct sl_str brief[] = {sl_str(text), {call->envelope.ptr, call->envelope.len}};
    if (link->takes_joined) {
        return sl_link_send(link, brief, SL_COUNT(brief));
    }
    const struct sl_str parts[] = {SL_STR("C"),
                                   sl_str(call->id),
                                   sl_str(call->service),
                                   sl_str(text + strlen(SL_COMMAND_BRIEF)),
                                   {call->envelope.ptr, call->envelope.len}};
    return sl_link_send(link, parts, SL_COUNT(parts));
}

static bool
is_local(const struct sl_bus_address *bus)
{
    return sl_str_starts(sl_str(bus->commands), SL_STR("ipc://"));
}

size_t
client_first_bus(const struct sl_peer *peer)
{
    size_t local = 0;
    for (size_t i = 0; i < peer->bus_count; i++) {
        local += is_local(&peer->buses[i]) ? 1 : 0;
    }
    size_t among = local > 0 ? local : peer->bus_count;
    size_t before = among > 0 ? sl_hash(0, peer->name, strlen(peer->name)) % among : 0;
    size_t index = 0;
    while (index + 1 < peer->bus_count &&
           ((local > 0 && !is_local(&peer->buses[index])) || before-- > 0)) {
        index++;
    }
    return index;
}

// How much speaks against giving a bus more; little is nothing.
static size_t
burden(const struct sl_bus_client *client, size_t index)
{
    const struct client_bus *bus = &client->buses[index];
    bool is_quiet = client->now_ms - bus->commands.heard_ms > QUIET_MS;
    return is_quiet ? SIZE_MAX : bus->held / DEEP;
}

// The live bus among `open` (bits) for the next command; -1: none. The one that had the last: what
// goes one way goes in fewer turns of everyone's threads than what is dealt out. Peers begin with
// different ones (client_first_bus).
static int
pick_bus(const struct sl_bus_client *client, unsigned open)
{
    size_t count = client->peer->bus_count;
    int best = -1;
    for (size_t i = 0; i < count; i++) {
        size_t index = (client->turn + i) % count;
        bool is_open = (open & (1U << index)) != 0 &&
                       sl_link_is_live(&client->buses[index].commands, client->now_ms);
        if (is_open && (best == -1 || burden(client, index) < burden(client, (size_t)best))) {
            best = (int)index;
        }
    }
    return best;
}

// Sends the call to a live bus that has not refused it. Answers whether one took it; its bus stays
// -1 otherwise.
static bool
try_buses(struct sl_bus_client *client, struct call *call)
{
    unsigned open = ~call->tried;
    for (int index = pick_bus(client, open); index != -1; index = pick_bus(client, open)) {
        if (send_to(client, call, (size_t)index)) {
            call->bus = index;
            client->buses[index].held++;
            client->turn = (size_t)index;
            return true;
        }
        open &= ~(1U << index);
    }
    return false;
}

static bool
has_live_bus(const struct sl_bus_client *client)
{
    for (size_t i = 0; i < client->peer->bus_count; i++) {
        if (sl_link_is_live(&client->buses[i].commands, client->now_ms)) {
            return true;
        }
    }
    return false;
}

// Sends a call that no bus holds, or decides what becomes of it.
static void
advance(struct sl_bus_client *client, struct call *call)
{
    if (call->end_ms <= client->now_ms) {
        end_with_error(client, call, SL_E_DEADLINE, "deadline");
        return;
    }
    if (call->retry_ms > client->now_ms || try_buses(client, call)) {
        return;
    }
    bool is_patient = has_live_bus(client) ? call->refused_ms == 0 ||
                                                 client->now_ms - call->refused_ms < NO_WORKER_MS
                                           : client->now_ms - call->start_ms < NO_BUS_MS;
    if (!is_patient) {
        end_with_error(client, call, SL_E_UNAVAILABLE,
                       call->refused_ms == 0 ? "no bus" : "no worker");
        return;
    }
    call->tried = 0;
    call->retry_ms = client->now_ms + RETRY_MS;
}

// Notes a call that begins; false when one of its id is in flight.
static bool
add_call(struct sl_bus_client *client, struct call *call)
{
    if (zhashx_insert(client->calls_by_id, call->id, call) != 0) {
        return false;
    }
    call->prev = NULL;
    call->next = client->calls;
    if (client->calls != NULL) {
        client->calls->prev = call;
    }
    client->calls = call;
    return true;
}

static void
accept_call(struct sl_bus_client *client, struct call *call)
{
    if (call->is_rejected) {
        client_deliver_error(client, call, SL_E_UNAVAILABLE, "no credit");
    } else if (!add_call(client, call)) {
        client_deliver_error(client, call, SL_E_BUS_MESSAGE, "command id is in flight");
    } else {
        advance(client, call);
    }
}

// Under `busy`: sends a call that nothing is wrong with; all else is the client thread's to judge.
static bool
begin_call(struct sl_bus_client *client, struct call *call)
{
    pthread_mutex_lock(&client->lock);
    bool is_first = client->inbox_first == NULL && !client->is_stopping;
    pthread_mutex_unlock(&client->lock);
    if (!is_first || zhashx_lookup(client->calls_by_id, call->id) != NULL) {
        return false;
    }
    client->now_ms = call->start_ms;
    // Noted only once it went: until then it is as it was, for the inbox to take.
    return try_buses(client, call) && add_call(client, call);
}

bool
client_send_at_once(struct sl_bus_client *client, struct call *call)
{
    if (pthread_equal(pthread_self(), client->thread)) {
        return begin_call(client, call); // its loop settles the links before it sleeps
    }
    // A client thread that sleeps does not know of the deadline; it looks soon enough for long
    // ones.
    if (call->end_ms - call->start_ms < PATIENT_MS || pthread_mutex_trylock(&client->busy) != 0) {
        return false;
    }
    bool has_begun = begin_call(client, call);
    bool is_unread = false;
    for (size_t i = 0; i < client->peer->bus_count; i++) {
        is_unread = sl_link_settle(&client->buses[i].commands) || is_unread;
    }
    pthread_mutex_unlock(&client->busy);
    if (is_unread) {
        client_wake(client);
    }
    return has_begun;
}

void
client_take_inbox(struct sl_bus_client *client)
{
    pthread_mutex_lock(&client->lock);
    struct call *call = SL_TAKE(client->inbox_first);
    client->inbox_last = NULL;
    pthread_mutex_unlock(&client->lock);
    while (call != NULL) {
        struct call *next = call->next;
        accept_call(client, call);
        call = next;
    }
}

// The bus could not have it done: elsewhere, later, or not at all.
static void
on_refusal(struct sl_bus_client *client, struct call *call, struct sl_str reason)
{
    size_t index = (size_t)call->bus;
    leave_bus(client, call);
    call->retry_ms = 0;
    if (sl_str_equal(reason, SL_STR("forbidden"))) {
        end_with_error(client, call, SL_E_BUS_FORBIDDEN, call->service);
    } else if (sl_str_equal(reason, SL_STR("worker lost"))) {
        call->tried = 0;
        if (++call->lost > LOST_MAX) {
            end_with_error(client, call, SL_E_UNAVAILABLE, "workers die under it");
        } else {
            advance(client, call);
        }
    } else if (sl_str_equal(reason, SL_STR("no credit"))) {
        call->tried |= 1U << index;
        if (!try_buses(client, call)) {
            end_with_error(client, call, SL_E_UNAVAILABLE, "no credit");
        }
    } else if (sl_str_equal(reason, SL_STR("no worker"))) {
        call->tried |= 1U << index;
        call->refused_ms = call->refused_ms == 0 ? client->now_ms : call->refused_ms;
        advance(client, call);
    } else {
        end_with_error(client, call, SL_E_BUS_MESSAGE, "refused by the bus");
    }
}

void
client_on_message(struct sl_bus_client *client, size_t index, struct sl_link_message *message)
{
    struct sl_link *link = &client->buses[index].commands;
    link->heard_ms = client->now_ms;
    link->beat_at_ms = client->now_ms + SL_LINK_QUIET_MS; // it lives: that need not be asked
    struct sl_str word = sl_link_part(message, 0);
    struct sl_str id = sl_link_part(message, 1);
    if (message->count != 3 || id.len != SL_ID_LEN) {
        link->takes_joined = sl_str_equal(sl_link_part(message, 2), SL_STR(SL_JOINED_WORD));
        return; // a heartbeat
    }
    char key[SL_ID_SIZE] = "";
    memcpy(key, id.ptr, id.len);
    struct call *call = zhashx_lookup(client->calls_by_id, key);
    if (call == NULL) {
        return; // answered by another bus before
    }
    if (sl_str_equal(word, SL_STR("R"))) {
        remove_call(client, call);
        client_deliver_reply(client, call, sl_link_part(message, 2));
    } else if (sl_str_equal(word, SL_STR("B")) && call->bus == (int)index) {
        on_refusal(client, call, sl_link_part(message, 2));
    }
}

void
client_on_link_change(struct sl_bus_client *client, size_t index)
{
    assert(index < SL_BUSES_MAX);
    struct call *next = NULL;
    for (struct call *call = client->calls; call != NULL; call = next) {
        next = call->next;
        call->tried &= ~(1U << index);
        if (call->bus == (int)index) {
            leave_bus(client, call);
            call->retry_ms = 0;
            // It may have waited long inside a live bus; the wait for another begins here.
            call->start_ms = client->now_ms;
        }
        if (call->bus == -1) {
            advance(client, call);
        }
    }
}

void
client_scan_calls(struct sl_bus_client *client)
{
    if (client->now_ms < client->scan_ms) {
        return;
    }
    client->scan_ms = client->now_ms + SCAN_MS;
    struct call *next = NULL;
    for (struct call *call = client->calls; call != NULL; call = next) {
        next = call->next;
        if (call->bus == -1 || call->end_ms <= client->now_ms) {
            advance(client, call);
        }
    }
}

void
client_end_calls(struct sl_bus_client *client)
{
    client_take_inbox(client);
    while (client->calls != NULL) {
        end_with_error(client, client->calls, SL_E_UNAVAILABLE, "client stops");
    }
}
