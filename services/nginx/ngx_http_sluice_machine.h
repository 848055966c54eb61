// ngx_http_sluice_machine.h - load, processors and memory of the node's machine, from /proc.
//
// Needs no nginx; reads three small files that the kernel makes up, and so never waits for a disk.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_MACHINE_H
#define NGX_HTTP_SLUICE_MACHINE_H

#include "common/base/buf.h"

struct ngx_http_sluice_machine {
    double load;              // average over one minute
    double busy_s;            // of all processors since the machine started
    double idle_s;            // waiting for disks included
    uint64_t total_bytes;     // memory
    uint64_t available_bytes; // of it
};

// Reads the texts of /proc/loadavg, /proc/stat and /proc/meminfo. False when one does not hold.
bool ngx_http_sluice_machine_parse(const char *loadavg, const char *stat, const char *meminfo,
                                   struct ngx_http_sluice_machine *ret_machine);

// Writes the gauges in Prometheus' text form; nothing where /proc cannot be read.
void ngx_http_sluice_machine_write(struct sl_buf *text);

#endif
