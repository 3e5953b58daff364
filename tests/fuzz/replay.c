/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The main program of a fuzzer outside of a fuzzing build: it feeds every
 * file of the folders and files named on the command line to the target, and
 * reports each as a TAP line.  A crash is the only way to fail.
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <glib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed;

static void replay_file(const char *path)
{
    g_autofree char *content = NULL;
    gsize size = 0;
    if (!g_file_get_contents(path, &content, &size, NULL)) {
        printf("Bail out! cannot read %s\n", path);
        exit(1);
    }
    /* A copy of the exact size, so that AddressSanitizer sees a read of one byte too many. */
    uint8_t *exact = malloc(size ? size : 1);
    for (gsize i = 0; i < size; i++)
        exact[i] = (uint8_t)content[i];
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    printf("ok %u %s\n", ++replayed, path);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) < 0) {
            printf("Bail out! no corpus %s\n", argv[i]);
            return 1;
        }
        if (!S_ISDIR(st.st_mode)) {
            replay_file(argv[i]);
            continue;
        }
        DIR *folder = opendir(argv[i]);
        const struct dirent *entry;
        while (folder && (entry = readdir(folder))) {
            if (entry->d_name[0] == '.')
                continue;
            g_autofree char *path = g_build_filename(argv[i], entry->d_name, NULL);
            replay_file(path);
        }
        if (folder)
            closedir(folder);
    }
    printf("1..%u\n", replayed);
    return replayed ? 0 : 1;
}
