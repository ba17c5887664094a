#include "cgroup.h"

#include <stdio.h>
#include <string.h>

enum { PATH = ICH_CGROUP_PATH };

typedef struct walk {
    const char *root, *controller;
    ich_cgroup_visitor *visit;
    void *self;
} walk;

static bool lists(char *controllers, const char *wanted) {
    char *rest = NULL;
    for (char *name = strtok_r(controllers, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        if (!strcmp(name, wanted)) return true;
    return false;
}

/* base/group and the groups above it, up to base itself. */
static void visit_up(const walk *w, const char *base, const char *group, bool version_2) {
    char folder[PATH];
    if ((size_t)snprintf(folder, sizeof folder, "%s%s", base, group) >= sizeof folder) return;
    for (char *end; (end = strrchr(folder, '/')) && strlen(folder) >= strlen(base); *end = '\0')
        w->visit(w->self, folder, version_2);
}

/* One line of /proc/self/cgroup: "0::/user.slice" (version 2) or "4:cpu,cpuacct:/docker/…" (version 1). */
static void visit_line(const walk *w, char *line) {
    char base[PATH], *rest = line;
    strsep(&rest, ":");
    char *controllers = strsep(&rest, ":"), *group = strsep(&rest, "\n");
    if (!controllers || !group) return;
    const bool version_2 = !*controllers;
    if (!version_2 && !lists(controllers, w->controller)) return;
    const int n = snprintf(base, sizeof base, "%s/sys/fs/cgroup%s%s", w->root, version_2 ? "" : "/",
                           version_2 ? "" : w->controller);
    if ((size_t)n < sizeof base) visit_up(w, base, group, version_2);
}

void ich_cgroup_visit(const char *root, const char *controller, ich_cgroup_visitor *visit, void *self) {
    const walk w = {root, controller, visit, self};
    char line[PATH];
    if ((size_t)snprintf(line, sizeof line, "%s/proc/self/cgroup", root) >= sizeof line) return;
    FILE *file = fopen(line, "re");
    while (file && fgets(line, sizeof line, file)) visit_line(&w, line);
    if (file) fclose(file);
}
