/* cgroup.h: the control groups that this process is in, and those above them: what they limit, binds it.
 *
 * Calls: /proc/self/cgroup. Called by: team (processors), train/memory.
 */
#ifndef ICH_TENSOR_CGROUP_H
#define ICH_TENSOR_CGROUP_H

#include <stdbool.h>

enum { ICH_CGROUP_PATH = 4096 };

/* Told of the folder of one group, of version 1 or 2. A container may not see the folder that it is told of;
 * those above it that it does see still count. */
typedef void ich_cgroup_visitor(void *self, const char *folder, bool version_2);

/* Visits the groups of `controller` ("cpu", "memory"), from this process's own upwards. `root` is put before
 * /proc and /sys: "" but in tests. */
void ich_cgroup_visit(const char *root, const char *controller, ich_cgroup_visitor *visit, void *self);

#endif
