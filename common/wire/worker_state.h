// worker_state.h - what the files of the worker loop share; no one else includes it.
//
// The I/O thread has the links, and `io_lock`, but while it sleeps. Handler threads take jobs from
// queues. Replies go out by themselves when the I/O thread sleeps; else, and for events, they are
// left in an outbox. Queues, outbox, the offer and the deferred replies are guarded by `lock`,
// which may be taken under `io_lock`, never the other way round.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_WORKER_STATE_H
#define SL_WIRE_WORKER_STATE_H

#include <pthread.h>

#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/wire/link.h"
#include "common/wire/worker.h"

#define SL_TOKEN_SIZE   24 // a bus's token as decimal text, with terminator
#define SL_SERVICE_SIZE 64 // a service's name with terminator

// A command that a handler thread is to run.
struct job {
    struct job *next;              //
    uint64_t turn;                 // grows from job to job
    int64_t since_ms;              // when it came (sl_mono_ms)
    size_t bus;                    // that sent it
    char bus_token[SL_TOKEN_SIZE]; // of the bus
    int64_t end_ms;                // nobody waits longer (sl_mono_ms)
    size_t len;                    // of envelope[]
    char envelope[];
};

struct job_queue {
    struct job *first, *last; // the last one's next is NULL
    size_t count;             //
};

// Something for the I/O thread to send.
struct outgoing {
    struct outgoing *next;         //
    bool is_event;                 // to every bus; else a reply to one
    size_t bus;                    // a reply: which bus
    char bus_token[SL_TOKEN_SIZE]; // a reply: its token
    size_t topic_len;              // an event
    size_t len;                    // bytes[] without the topic
    char bytes[];                  // topic, then body or reply
};

// A reply that someone else will give.
struct deferred {
    struct deferred *next;         //
    uint64_t token;                // of the call
    int64_t taken_us;              // when it was taken (sl_mono_us)
    size_t bus;                    //
    char bus_token[SL_TOKEN_SIZE]; //
};

// How commands ended: by the class of their status.
enum worker_outcome {
    WORKER_DONE,
    WORKER_REFUSED, // the caller's fault
    WORKER_FAILED,  // ours
    WORKER_OUTCOMES,
};

struct worker_tally {
    uint64_t by_outcome[WORKER_OUTCOMES]; // commands answered
    uint64_t time_us;                     // from taken to answered, all together
};

struct worker_thread {
    struct sl_worker *worker;        //
    pthread_t thread;                //
    pthread_cond_t called;           // there is a job, or the worker ends
    struct worker_thread *next_idle; // lock
    bool is_together;                // lock; has commands that go together
    bool is_called;                  // lock; for such, and has not looked yet
    bool is_idle;                    // lock; among the worker's idle ones
};

struct sl_worker {
    struct sl_worker_options options; //
    size_t credits;                   //
    void *context;                    // ZeroMQ's
    int wake_fd;                      // eventfd: the outbox or the offer changed
    pthread_t io_thread;              //
    struct worker_thread *threads;    // options.threads of them

    pthread_mutex_t lock;                  //
    struct job_queue alone;                // lock; jobs that go one by one
    struct job_queue together;             // lock; jobs that may go together
    size_t threads_together;               // lock; that have some
    bool is_called;                        // lock; a thread is, for some
    uint64_t last_turn;                    // lock; of jobs
    struct worker_thread *idle;            // lock; the one that rested last is called first
    struct outgoing *out_first, *out_last; // lock
    struct deferred *deferred;             // lock
    char (*services)[SL_SERVICE_SIZE];     // lock; offered, not sorted
    size_t service_count, service_cap;     // lock
    int64_t offer_version;                 // lock; grows with every change
    size_t load;                           // lock; commands taken and not answered
    size_t replying;                       // lock; threads that are at a reply's way out
    uint64_t last_token;                   // lock; of calls
    size_t threads_open;                   // lock; with a context
    size_t threads_running;                // lock
    size_t buses_live;                     // lock; that answer
    struct worker_tally tally;             // lock; what was answered
    bool is_draining;                      // lock; takes no work, ends when it is done
    bool is_stopping;                      // lock; handler threads end

    pthread_mutex_t io_lock;             //
    struct sl_link links[SL_BUSES_MAX];  // io_lock
    int64_t known_offer[SL_BUSES_MAX];   // I/O thread; which offer each bus has; -1: none
    int64_t offer_sent_ms[SL_BUSES_MAX]; // I/O thread; when it was sent last
};

// worker_io.c
void *worker_run_io(void *arg);
void worker_wake(struct sl_worker *worker);

// Sends a reply to its bus, or an event to all. Under `io_lock`.
void worker_send_one(struct sl_worker *worker, const struct outgoing *out);

// worker_queue.c

// Gives a job to the handler threads; takes `lock`.
void worker_put_job(struct sl_worker *worker, struct job *job, bool goes_together);

// Calls a thread for jobs that go together when one has waited too long for the thread that has
// some: its database may be stuck. By the I/O thread, now and then; takes `lock`.
void worker_hurry(struct sl_worker *worker, int64_t now_ms);

// The next job, or those that go together, for a thread that has none; at most SL_TOGETHER. Waits
// for one; 0 when the worker ends and none is left.
size_t worker_take_jobs(struct worker_thread *thread, struct job *ret_jobs[SL_TOGETHER]);

// Calls every handler thread: what they wait for may have changed. Under `lock`.
void worker_call_all(struct sl_worker *worker);

// Frees what nobody took.
void worker_free_jobs(struct sl_worker *worker);

// worker_thread.c
void *worker_run_thread(void *arg);

// Whether commands of this name go together.
bool worker_goes_together(const struct sl_worker *worker, struct sl_str envelope);

// worker_reply.c

// A reply to a call.
struct answer {
    uint64_t token;               // the call's
    const struct sl_reply *reply; // borrowed
};

// Notes where the reply to a job goes, before the handler runs: a deferred reply may come before
// the handler has returned. Answers the call's token.
uint64_t worker_note_call(struct sl_worker *worker, const struct job *job);

// Sends replies in one go, or leaves them for the I/O thread, and gives the credits back. Takes
// both locks.
void worker_send_replies(struct sl_worker *worker, const struct answer *answers, size_t count);

#endif
