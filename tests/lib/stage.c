// stage.c - see stage.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/stage.h"

#include "common/base/clock.h"
#include "services/bus/broker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct stage_bus {
    struct sl_peer self;
    struct broker *broker; // NULL: not running
    pthread_t thread;
    int stop_fd;
};

struct stage {
    char dir[64];
    char allow_dir[96];
    char texts[SL_BUSES_MAX][3][128]; // endpoints
    struct stage_bus buses[SL_BUSES_MAX];
    size_t bus_count;
    struct sl_peer peers[STAGE_PEERS_MAX];
    char files[STAGE_PEERS_MAX][192];
    size_t peer_count;
};

static void
pause_ms(int64_t ms)
{
    struct timespec pause = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

static void *
run_bus(void *arg)
{
    struct stage_bus *bus = arg;
    broker_run(bus->broker, bus->stop_fd);
    return NULL;
}

void
stage_start_bus(struct stage *stage, size_t index)
{
    struct stage_bus *bus = &stage->buses[index];
    struct sl_error err;
    struct broker_options options = {&bus->self, &bus->self.buses[index], stage->allow_dir};
    bus->broker = broker_new(&options, &err);
    if (bus->broker == NULL) {
        fprintf(stderr, "bus: %s %s\n", err.args[0], err.detail);
        abort();
    }
    bus->stop_fd = eventfd(0, EFD_CLOEXEC);
    int rc = pthread_create(&bus->thread, NULL, run_bus, bus);
    assert(rc == 0);
}

void
stage_kill_bus(struct stage *stage, size_t index)
{
    struct stage_bus *bus = &stage->buses[index];
    if (bus->broker == NULL) {
        return;
    }
    uint64_t one = 1;
    ssize_t written = write(bus->stop_fd, &one, sizeof(one));
    assert(written == sizeof(one));
    pthread_join(bus->thread, NULL);
    close(bus->stop_fd);
    broker_free(&bus->broker);
}

static void
name_bus(struct stage *stage, size_t index, struct sl_bus_address *ret_address)
{
    static const char *const kinds[] = {"c", "w", "e"};
    for (size_t i = 0; i < SL_COUNT(kinds); i++) {
        snprintf(stage->texts[index][i], sizeof(stage->texts[index][i]), "ipc://%s/%s%zu",
                 stage->dir, kinds[i], index);
    }
    *ret_address = (struct sl_bus_address){stage->texts[index][0], stage->texts[index][1],
                                           stage->texts[index][2], ""};
}

struct stage *
stage_new(size_t bus_count)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    assert(stage != NULL);
    stage->bus_count = bus_count;
    snprintf(stage->dir, sizeof(stage->dir), "/tmp/sluice-stage-XXXXXX");
    if (mkdtemp(stage->dir) == NULL) {
        abort();
    }
    snprintf(stage->allow_dir, sizeof(stage->allow_dir), "%s/allow", stage->dir);
    if (mkdir(stage->allow_dir, 0700) != 0) {
        abort();
    }
    for (size_t i = 0; i < bus_count; i++) {
        struct sl_peer *self = &stage->buses[i].self;
        self->name = "bus";
        sl_peer_keys(self->public_key, self->secret_key);
        name_bus(stage, i, &self->buses[i]);
        memcpy(self->buses[i].public_key, self->public_key, SL_Z85_SIZE);
        stage_start_bus(stage, i);
    }
    return stage;
}

void
stage_free(struct stage **stage)
{
    if (*stage == NULL) {
        return;
    }
    struct stage *gone = SL_TAKE(*stage);
    for (size_t i = 0; i < gone->bus_count; i++) {
        stage_kill_bus(gone, i);
        for (size_t n = 0; n < 3; n++) {
            unlink(gone->texts[i][n] + strlen("ipc://"));
        }
    }
    for (size_t i = 0; i < gone->peer_count; i++) {
        unlink(gone->files[i]);
    }
    rmdir(gone->allow_dir);
    rmdir(gone->dir);
    free(gone);
}

const struct sl_peer *
stage_stranger(struct stage *stage, const char *name)
{
    assert(stage->peer_count < STAGE_PEERS_MAX);
    struct sl_peer *peer = &stage->peers[stage->peer_count++];
    peer->name = name;
    peer->bus_count = stage->bus_count;
    sl_peer_keys(peer->public_key, peer->secret_key);
    for (size_t i = 0; i < stage->bus_count; i++) {
        peer->buses[i] = stage->buses[i].self.buses[i];
    }
    return peer;
}

const struct sl_peer *
stage_peer(struct stage *stage, const char *name, const char *role, const char *gateway)
{
    const struct sl_peer *peer = stage_stranger(stage, name);
    char *path = stage->files[stage->peer_count - 1];
    snprintf(path, sizeof(stage->files[0]), "%s/%s.peer", stage->allow_dir, name);
    FILE *out = fopen(path, "w");
    assert(out != NULL);
    fprintf(out, "key: '%s'\nrole: \"%s\"\n", peer->public_key, role);
    if (gateway != NULL) {
        fprintf(out, "gateway: \"%s\"\n", gateway);
    }
    fclose(out);
    pause_ms(60); // a round of the bus, so that the handshake finds the key at the first try
    return peer;
}

void
stage_forbid(struct stage *stage, const struct sl_peer *peer)
{
    int rc = unlink(stage->files[peer - stage->peers]);
    assert(rc == 0);
}

bool
stage_wait(const atomic_bool *flag, int64_t limit_ms)
{
    int64_t end_ms = sl_mono_ms() + limit_ms;
    while (!atomic_load(flag) && sl_mono_ms() < end_ms) {
        pause_ms(1);
    }
    return atomic_load(flag);
}

void
stage_wait_live(const struct sl_bus_client *client, size_t count)
{
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (sl_bus_client_live(client) != count && sl_mono_ms() < end_ms) {
        pause_ms(1);
    }
    assert(sl_bus_client_live(client) == count);
}
