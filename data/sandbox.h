/* sandbox.h: what a process that reads strangers' files may still do, once it is hijacked by one of them.
 *
 * Limits on memory, files and processes everywhere; and, where libseccomp was there to build with and the
 * kernel knows it, a filter: reading, memory and the socket it was born with; new files only with `writes`.
 * A network, another program or another process ends it with SIGSYS. What else it asks for does not exist
 * (ENOSYS), so that a newer C library finds its way round. docs/hardening.md says what this leaves open.
 *
 * Calls: setrlimit, prctl, libseccomp. Called by: dicom_worker.
 */
#ifndef ICH_DATA_SANDBOX_H
#define ICH_DATA_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* For good, for this process. `memory`: bytes it may take beyond those it has, and a file of its may hold. */
void ich_sandbox_enter(size_t memory, bool writes);

bool ich_sandbox_filters(void); /* can system calls be filtered, in this build, on this kernel? */

#endif
