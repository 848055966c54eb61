// nginx_signal.c - see nginx_signal.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/nginx_signal.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/str.h"

// The program of a process. An nginx that was upgraded since shows " (deleted)" behind its path.
bool
nginx_signal_runs(pid_t pid, const char *binary)
{
    char link[64];
    char target[PATH_MAX];
    char wanted[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
    ssize_t len = pid <= 0 ? -1 : readlink(link, target, sizeof(target) - 1);
    if (len <= 0 || realpath(binary, wanted) == NULL) {
        return false;
    }
    target[len] = '\0';
    char *deleted = strstr(target, " (deleted)");
    if (deleted != NULL) {
        *deleted = '\0';
    }
    return strcmp(target, wanted) == 0;
}

pid_t
nginx_signal_find(const char *pid_file, const char *binary)
{
    char text[32] = "";
    int64_t pid = 0;
    FILE *file = fopen(pid_file, "re");
    if (file == NULL) {
        return 0;
    }
    bool got = fgets(text, sizeof(text), file) != NULL;
    fclose(file);
    text[strcspn(text, "\r\n")] = '\0';
    if (!got || !sl_str_int(sl_str(text), &pid) || pid <= 1 || pid > INT_MAX) {
        return 0;
    }
    return nginx_signal_runs((pid_t)pid, binary) ? (pid_t)pid : 0;
}

bool
nginx_signal_send(const char *pid_file, const char *binary, int number)
{
    pid_t pid = nginx_signal_find(pid_file, binary);
    return pid != 0 && kill(pid, number) == 0;
}
