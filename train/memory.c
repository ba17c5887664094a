/* Numbers from small text files; one that is not there, or says "max", sets no limit. */
#include "memory.h"

#include "tensor/cgroup.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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
static const names version_1_names = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                      "total_inactive_file ", "total_active_file "};
static const names version_2_names = {"memory.max", "memory.current", "inactive_file ", "active_file "};

static size_t left_in(const char *folder, const names *n) {
    char path[ICH_CGROUP_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, n->limit);
    const size_t limit = number_in(path, "", SIZE_MAX);
    if (limit == SIZE_MAX) return SIZE_MAX;
    snprintf(path, sizeof path, "%s/%s", folder, n->usage);
    size_t used = number_in(path, "", 0);
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    used -= least(used, number_in(path, n->inactive, 0) + number_in(path, n->active, 0));
    return limit - least(limit, used);
}

static void find_least(void *self, const char *folder, bool version_2) {
    size_t *left = self;
    *left = least(*left, left_in(folder, version_2 ? &version_2_names : &version_1_names));
}

size_t ich_memory_available(const char *root) {
    char path[ICH_CGROUP_PATH];
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    const size_t kib = number_in(path, "MemAvailable:", SIZE_MAX);
    size_t left = kib > SIZE_MAX / 1024 ? SIZE_MAX : kib * 1024;
    ich_cgroup_visit(root, "memory", find_least, &left);
    return left;
}

bool ich_memory_foresee(size_t bytes, size_t available, const char *lower, ich_error *err) {
    return bytes <= available ||
           ich_fail(err, "out of memory, foreseen: a step needs %zu MiB, %zu MiB are left%s%s", bytes >> 20,
                    available >> 20, lower ? "; less is taken with a lower " : "", lower ? lower : "");
}
