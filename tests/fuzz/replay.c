// replay.c - runs a fuzz target over a directory of inputs, without libFuzzer.
//
// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (4 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

// Each input lies in memory of exactly its size, so that a sanitizer sees a read past it.
static int
replay(const char *path)
{
    FILE *file = fopen(path, "re");
    char *room = malloc(INPUT_MAX);
    if (file == NULL || room == NULL) {
        perror(path);
        return -1;
    }
    size_t len = fread(room, 1, INPUT_MAX, file);
    fclose(file);
    uint8_t *bytes = malloc(len > 0 ? len : 1);
    for (size_t i = 0; bytes != NULL && i < len; i++) {
        bytes[i] = (uint8_t)room[i];
    }
    free(room);
    int result = bytes != NULL ? LLVMFuzzerTestOneInput(bytes, len) : -1;
    free(bytes);
    return result;
}

int
main(int argc, char **argv)
{
    size_t count = 0;
    DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
    if (directory == NULL) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return EXIT_FAILURE;
    }
    for (const struct dirent *each = readdir(directory); each != NULL; each = readdir(directory)) {
        char path[PATH_MAX];
        snprintf(path, sizeof(path), "%s/%s", argv[1], each->d_name);
        if (each->d_name[0] != '.') {
            count++;
            if (replay(path) != 0) {
                return EXIT_FAILURE;
            }
        }
    }
    closedir(directory);
    printf("%zu inputs\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
