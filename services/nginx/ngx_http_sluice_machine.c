// ngx_http_sluice_machine.c - load, processors and memory of the node's machine, from /proc.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_machine.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gen/metric.h"

#define FILE_MAX 8192 // bytes of a file that are read; what is wanted stands on top
#define MODES    8    // of a processor's time: user nice system idle iowait irq softirq steal
#define IDLE     3
#define IOWAIT   4

// The number behind `name` at the beginning of a line of kB, in bytes.
static bool
find_kb(const char *text, const char *name, uint64_t *ret_bytes)
{
    const char *at = strstr(text, name);
    char *end = NULL;

    if (at == NULL) {
        return false;
    }
    at += strlen(name);
    *ret_bytes = strtoull(at, &end, 10) * 1024;
    return end != at;
}

static bool
parse_stat(const char *text, struct ngx_http_sluice_machine *machine)
{
    double ticks_a_second = (double)sysconf(_SC_CLK_TCK);
    char *at = NULL;

    if (strncmp(text, "cpu ", 4) != 0) {
        return false;
    }
    text += 4;
    machine->busy_s = machine->idle_s = 0;
    for (size_t i = 0; i < MODES; i++) {
        double seconds = (double)strtoull(text, &at, 10) / ticks_a_second;

        if (at == text) {
            return false;
        }
        text = at;
        if (i == IDLE || i == IOWAIT) {
            machine->idle_s += seconds;
        } else {
            machine->busy_s += seconds;
        }
    }
    return true;
}

bool
ngx_http_sluice_machine_parse(const char *loadavg, const char *stat, const char *meminfo,
                              struct ngx_http_sluice_machine *ret_machine)
{
    struct ngx_http_sluice_machine machine = {.load = 0};
    char *end = NULL;

    machine.load = strtod(loadavg, &end);
    if (end == loadavg || !parse_stat(stat, &machine) ||
        !find_kb(meminfo, "MemTotal:", &machine.total_bytes) ||
        !find_kb(meminfo, "MemAvailable:", &machine.available_bytes)) {
        return false;
    }
    *ret_machine = machine;
    return true;
}

static bool
read_file(const char *path, char text[FILE_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, FILE_MAX - 1);

    if (fd >= 0) {
        close(fd);
    }
    text[len > 0 ? len : 0] = '\0';
    return len > 0;
}

void
ngx_http_sluice_machine_write(struct sl_buf *text)
{
    struct ngx_http_sluice_machine machine;
    char loadavg[FILE_MAX];
    char stat[FILE_MAX];
    char meminfo[FILE_MAX];

    if (!read_file("/proc/loadavg", loadavg) || !read_file("/proc/stat", stat) ||
        !read_file("/proc/meminfo", meminfo) ||
        !ngx_http_sluice_machine_parse(loadavg, stat, meminfo, &machine)) {
        return;
    }
    sl_buf_addf(text, "%s%s %.2f\n", SL_METRIC(NODE_LOAD), machine.load);
    sl_buf_addf(text, "%s%s{mode=\"busy\"} %.2f\n", SL_METRIC(NODE_CPU_SECONDS_TOTAL),
                machine.busy_s);
    sl_buf_addf(text, "%s{mode=\"idle\"} %.2f\n", SL_METRIC_NODE_CPU_SECONDS_TOTAL, machine.idle_s);
    sl_buf_addf(text, "%s%s{state=\"total\"} %llu\n", SL_METRIC(NODE_MEMORY_BYTES),
                (unsigned long long)machine.total_bytes);
    sl_buf_addf(text, "%s{state=\"available\"} %llu\n", SL_METRIC_NODE_MEMORY_BYTES,
                (unsigned long long)machine.available_bytes);
}
