/* The filter is a list of what is allowed, since nobody can list what a kernel offers. */
#include "sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef ICH_SECCOMP
#include <seccomp.h>
#endif

enum { MOST_FILES = 32 }; /* a decoder has one or two open */

/* -- limits ---------------------------------------------------------------------------------------------- */

/* Hard, too: what was lowered stays low. */
static void limit(int resource, rlim_t most) {
    struct rlimit now;
    if (getrlimit(resource, &now) != 0) return;
    now.rlim_cur = most < now.rlim_max ? most : now.rlim_max;
    now.rlim_max = now.rlim_cur;
    setrlimit(resource, &now);
}

/* Address space as it is, and `more`. Sanitizers map terabytes of their own, so not with them. */
static void limit_memory(size_t more) {
#ifndef ICH_SANITIZED
    long pages = 0;
    FILE *stream = fopen("/proc/self/statm", "r");
    const bool known = stream && fscanf(stream, "%ld", &pages) == 1;
    if (stream) fclose(stream);
    if (known) limit(RLIMIT_AS, (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + more);
#else
    (void)more;
#endif
}

/* -- system calls ---------------------------------------------------------------------------------------- */

#ifdef ICH_SECCOMP

static const int allowed[] = {
    /* what is open, and names of files */
    SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(readv), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(fcntl),
    SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(fstat), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat),
    SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
    /* memory; none that can be run (below) */
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(sysinfo),
    /* its parent */
    SCMP_SYS(sendto), SCMP_SYS(recvfrom),
    /* time, and the limits of ich_worker_touch */
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(alarm), SCMP_SYS(setitimer),
    /* itself */
    SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getrandom), SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(exit),
    SCMP_SYS(exit_group)};

/* What file.h needs to put a result in its place. */
static const int allowed_to_writers[] = {SCMP_SYS(openat),    SCMP_SYS(fsync),  SCMP_SYS(fdatasync),
                                         SCMP_SYS(fchmod),    SCMP_SYS(rename), SCMP_SYS(renameat),
                                         SCMP_SYS(renameat2), SCMP_SYS(unlink), SCMP_SYS(unlinkat)};

/* No decoder asks for these by mistake. */
static const int deadly[] = {SCMP_SYS(socket),
                             SCMP_SYS(socketpair),
                             SCMP_SYS(connect),
                             SCMP_SYS(bind),
                             SCMP_SYS(execve),
                             SCMP_SYS(execveat),
                             SCMP_SYS(fork),
                             SCMP_SYS(vfork),
                             SCMP_SYS(clone),
                             SCMP_SYS(clone3),
                             SCMP_SYS(ptrace),
                             SCMP_SYS(kill),
                             SCMP_SYS(process_vm_readv),
                             SCMP_SYS(process_vm_writev)};

static bool add(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (seccomp_rule_add(filter, action, calls[i], 0) != 0) return false;
    return true;
}

/* An argument's bits of `mask` must be `bits`. */
static bool add_if(scmp_filter_ctx filter, int call, unsigned argument, uint64_t mask, uint64_t bits) {
    const struct scmp_arg_cmp right = {argument, SCMP_CMP_MASKED_EQ, mask, bits};
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &right) == 0;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool fill(scmp_filter_ctx filter, bool writes) {
    return add(filter, SCMP_ACT_ALLOW, allowed, COUNT(allowed)) &&
           add(filter, SCMP_ACT_KILL_PROCESS, deadly, COUNT(deadly)) &&
           add_if(filter, SCMP_SYS(mmap), 2, PROT_EXEC, 0) &&
           add_if(filter, SCMP_SYS(mprotect), 2, PROT_EXEC, 0) &&
           add_if(filter, SCMP_SYS(tgkill), 0, UINT32_MAX, (uint64_t)getpid()) && /* raise, abort */
           (writes ? add(filter, SCMP_ACT_ALLOW, allowed_to_writers, COUNT(allowed_to_writers))
                   : add_if(filter, SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
}

static void filter_calls(bool writes) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter) return;
    if (fill(filter, writes)) seccomp_load(filter); /* a kernel that will not leaves the limits */
    seccomp_release(filter);
}

bool ich_sandbox_filters(void) { return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0; }

#else

static void filter_calls(bool writes) { (void)writes; }
bool ich_sandbox_filters(void) { return false; }

#endif

void ich_sandbox_enter(size_t memory, bool writes) {
    limit(RLIMIT_CORE, 0); /* it would hold a patient */
    limit(RLIMIT_NOFILE, MOST_FILES);
    limit(RLIMIT_NPROC, 0); /* root is exempt: the filter is not */
    limit(RLIMIT_FSIZE, writes ? memory : 0);
    limit_memory(memory);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    filter_calls(writes);
}
