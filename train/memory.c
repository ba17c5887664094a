/* Numbers from small text files; one that is not there, or says "max", sets no limit. */
#include "memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 4096 };

/* The number after `key` at the beginning of a line of the file, or the whole file's where `key` is "";
 * `otherwise` where there is none. */
static size_t number_in(const char *path, const char *key, size_t otherwise) {
    char line[256];
    FILE *file = fopen(path, "re");
    size_t found = otherwise;
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long value;
        if (strncmp(line, key, strlen(key)) != 0 || sscanf(line + strlen(key), "%llu", &value) != 1) continue;
        found = (size_t)value;
        break;
    }
    if (file) fclose(file);
    return found;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* The files of a control group: its limit, what it uses, and what of that is files that can be read again. */
typedef struct names {
    const char *limit, *usage, *inactive, *active;
} names;
static const names version_1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ",
                                "total_active_file "};
static const names version_2 = {"memory.max", "memory.current", "inactive_file ", "active_file "};

static size_t left_in(const char *folder, const names *n) {
    char path[PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, n->limit);
    const size_t limit = number_in(path, "", SIZE_MAX);
    if (limit == SIZE_MAX) return SIZE_MAX;
    snprintf(path, sizeof path, "%s/%s", folder, n->usage);
    size_t used = number_in(path, "", 0);
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    used -= least(used, number_in(path, n->inactive, 0) + number_in(path, n->active, 0));
    return limit - least(limit, used);
}

/* The least that the group at base/group and those above it leave. */
static size_t left_up(const char *base, const char *group, const names *n) {
    char folder[PATH];
    const size_t stem = strlen(base);
    if ((size_t)snprintf(folder, sizeof folder, "%s%s", base, group) >= sizeof folder) return SIZE_MAX;
    size_t left = left_in(folder, n);
    for (char *slash; strlen(folder) > stem && (slash = strrchr(folder, '/')) && slash >= folder + stem;) {
        *slash = '\0';
        left = least(left, left_in(folder, n));
    }
    return left;
}

/* Lines of /proc/self/cgroup: "0::/group" (version 2), "7:memory:/group" (version 1). */
static size_t left_in_groups(const char *root) {
    char path[PATH], base[PATH], line[PATH];
    size_t left = SIZE_MAX;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        const char *first = strchr(line, ':'), *group = first ? strchr(first + 1, ':') : NULL;
        if (!group) continue;
        const bool second = group == first + 1;
        if (!second && !strstr(first, "memory")) continue;
        snprintf(base, sizeof base, "%s/sys/fs/cgroup%s", root, second ? "" : "/memory");
        left = least(left, left_up(base, group + 1, second ? &version_2 : &version_1));
    }
    if (file) fclose(file);
    return left;
}

size_t ich_memory_available(const char *root) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    const size_t kib = number_in(path, "MemAvailable:", SIZE_MAX);
    return least(kib > SIZE_MAX / 1024 ? SIZE_MAX : kib * 1024, left_in_groups(root));
}

bool ich_memory_foresee(size_t bytes, size_t available, const char *lower, ich_error *err) {
    return bytes <= available ||
           ich_fail(err, "out of memory, foreseen: a step needs %zu MiB, %zu MiB are left%s%s", bytes >> 20,
                    available >> 20, lower ? "; less is taken with a lower " : "", lower ? lower : "");
}
