/* interpose.c: LD_PRELOAD that counts what a program asks of the system, place by place, and lets one call
 * fail.
 *
 * A place is a call and the chain of return addresses that led to it, each as module and offset, so that it
 * is the same in each run. Places stand in a file that all processes of the run share; tests/faults/faults.py
 * reads it, chooses, and runs again. Nobody else calls this; it calls glibc (2.35 or newer) and the unwinder.
 *
 *   ICHOR_FAULTS_TABLE=FILE                        PLACES records of zeros; filled
 *   ICHOR_FAULTS_FAIL=call,place,n,errno,stays     the n-th call at the place fails; errno 0: comes back
 * short; stays 1: from then on every call of its kind fails
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

enum { PLACES = 1 << 16, FRAMES = 48, OURS = 4, STREAM_ERROR = 0x20 /* glibc's _IO_ERR_SEEN */ };

/* Kept in step with `PLACE` in faults.py. */
typedef struct place {
    _Atomic uint64_t name; /* 0: free */
    _Atomic uint32_t count;
    _Atomic uint32_t failed; /* how often it was made to */
    uint32_t apart;          /* before or after main: a library's own start or end */
    char call[20], owner[32];
    uint64_t ours[OURS]; /* the innermost return addresses in the program itself, for addr2line */
} place;

static place *places; /* NULL: nothing is counted */
static struct {
    bool any;
    char call[20];
    uint64_t place;
    uint32_t nth;
    int error;
    _Atomic bool *fired; /* shared with the program's children: a page of its own */
} wanted;

static atomic_bool in_main;
static __thread bool inside __attribute__((tls_model("initial-exec")));

/* -- the system, past our own names -- */

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static void *share(int file, size_t bytes) {
    const long at = syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE,
                            file < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, file, 0);
    return at == -1 ? NULL : (void *)at;
}

__attribute__((constructor)) static void begin(void) {
    const char *table = getenv("ICHOR_FAULTS_TABLE"), *fail = getenv("ICHOR_FAULTS_FAIL");
    if (!table) return;
    if (fail) {
        if (sscanf(fail, "%19[^,],%lx,%u,%d", wanted.call, &wanted.place, &wanted.nth, &wanted.error) != 4)
            _exit(99);
        wanted.any = true;
        wanted.fired = share(-1, 4096);
    }
    const int file = (int)syscall(SYS_open, table, O_RDWR | O_CLOEXEC, 0);
    if (file < 0) _exit(99);
    places = share(file, PLACES * sizeof *places);
    syscall(SYS_close, file);
    if (!places) _exit(99);
}

static int (*program)(int, char **, char **);

static int run_main(int argc, char **argv, char **variables) {
    in_main = true;
    const int status = program(argc, argv, variables);
    in_main = false;
    return status;
}

typedef int start_main(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void),
                       void (*)(void), void *);

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*start)(void),
                      void (*end)(void), void (*loader_end)(void), void *stack) {
    start_main *real = (start_main *)dlsym(RTLD_NEXT, "__libc_start_main");
    program = main;
    return real(run_main, argc, argv, start, end, loader_end, stack);
}

/* -- where a call comes from -- */

typedef struct walk {
    uint64_t hash, ours[OURS];
    int frames, n_ours;
    const char *owner; /* the innermost module that is neither this one nor the C and C++ libraries */
} walk;

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_plumbing(const char *module) {
    static const char *const names[] = {"libichor_faults", "libc.so", "ld-linux", "libstdc++", "libgcc_s"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strncmp(module, names[i], strlen(names[i]))) return true;
    return false;
}

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *self) {
    walk *w = self;
    const uintptr_t at = _Unwind_GetIP(context);
    struct dl_find_object where;
    if (!at || w->frames++ == FRAMES) return _URC_END_OF_STACK;
    if (_dl_find_object((void *)at, &where) != 0) return _URC_NO_REASON;
    const uint64_t offset = at - (uintptr_t)where.dlfo_map_start;
    const char *module = base_name(where.dlfo_link_map->l_name);
    if (!*module) module = "ichor";
    if (!w->owner && !is_plumbing(module)) w->owner = module;
    if (!strcmp(module, "ichor") && w->n_ours < OURS) w->ours[w->n_ours++] = offset;
    for (int i = 0; i < 8; i++) w->hash = (w->hash ^ (offset >> 8 * i & 255)) * 1099511628211u; /* FNV-1a */
    for (const char *c = module; *c; c++) w->hash = (w->hash ^ (unsigned char)*c) * 1099511628211u;
    return _URC_NO_REASON;
}

static place *find_place(const char *name) {
    walk w = {.hash = 14695981039346656037u};
    for (const char *c = name; *c; c++) w.hash = (w.hash ^ (unsigned char)*c) * 1099511628211u;
    _Unwind_Backtrace(step, &w);
    if (!w.hash) w.hash = 1;
    for (uint64_t i = w.hash;; i++) {
        place *p = &places[i % PLACES];
        uint64_t found = 0;
        if (atomic_compare_exchange_strong(&p->name, &found, w.hash)) {
            p->apart = !in_main;
            strncpy(p->call, name, sizeof p->call - 1);
            strncpy(p->owner, w.owner ? w.owner : "?", sizeof p->owner - 1);
            memcpy(p->ours, w.ours, sizeof p->ours);
            return p;
        }
        if (found == w.hash) return p;
    }
}

enum { GO_ON = -1 };

/* GO_ON, or the errno to fail with; 0: come back short. */
static int fault(const char *name) {
    if (!places || inside) return GO_ON;
    if (wanted.any && (*wanted.fired || strcmp(name, wanted.call) != 0)) return GO_ON;
    const int before = errno;
    inside = true;
    place *p = find_place(name);
    const uint32_t n = ++p->count;
    inside = false;
    errno = before;
    if (!wanted.any || p->name != wanted.place || n != wanted.nth) return GO_ON;
    p->failed++;
    *wanted.fired = true;
    return wanted.error;
}

/* Declares the real function, and asks whether this call is the one to fail. */
#define CALL(function)                                                                                       \
    static __typeof__(function) *real;                                                                       \
    if (!real) real = (__typeof__(function) *)dlsym(RTLD_NEXT, #function);                                   \
    const int error = fault(#function)

#define FAIL_IF_TOLD(result)                                                                                 \
    if (error != GO_ON) return errno = error, result

/* -- memory -- */

#define MEMORY_CALL(name)                                                                                    \
    const int error = fault(name);                                                                           \
    FAIL_IF_TOLD(NULL)

void *malloc(size_t bytes) {
    MEMORY_CALL("malloc");
    return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t size) {
    MEMORY_CALL("calloc");
    return __libc_calloc(count, size);
}
void *realloc(void *old, size_t bytes) {
    MEMORY_CALL("realloc");
    return __libc_realloc(old, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes) {
    MEMORY_CALL("aligned_alloc");
    return __libc_memalign(alignment, bytes);
}
void *memalign(size_t alignment, size_t bytes) {
    MEMORY_CALL("memalign");
    return __libc_memalign(alignment, bytes);
}
int posix_memalign(void **out, size_t alignment, size_t bytes) {
    const int error = fault("posix_memalign");
    if (error != GO_ON) return error;
    void *memory = __libc_memalign(alignment, bytes);
    if (memory) *out = memory;
    return memory ? 0 : ENOMEM;
}
void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset) {
    CALL(mmap);
    FAIL_IF_TOLD(MAP_FAILED);
    return real(at, bytes, protection, flags, file, offset);
}
void *mmap64(void *at, size_t bytes, int protection, int flags, int file, off_t offset) {
    CALL(mmap64);
    FAIL_IF_TOLD(MAP_FAILED);
    return real(at, bytes, protection, flags, file, offset);
}

/* -- opening -- */

#define MODE_OF(flags)                                                                                       \
    mode_t mode = 0;                                                                                         \
    if ((flags)&O_CREAT) {                                                                                   \
        va_list rest;                                                                                        \
        va_start(rest, flags);                                                                               \
        mode = va_arg(rest, mode_t);                                                                         \
        va_end(rest);                                                                                        \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    CALL(open);
    FAIL_IF_TOLD(-1);
    return real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    CALL(open64);
    FAIL_IF_TOLD(-1);
    return real(path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE_OF(flags)
    CALL(openat);
    FAIL_IF_TOLD(-1);
    return real(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    MODE_OF(flags)
    CALL(openat64);
    FAIL_IF_TOLD(-1);
    return real(folder, path, flags, mode);
}
FILE *fopen(const char *path, const char *mode) {
    CALL(fopen);
    FAIL_IF_TOLD(NULL);
    return real(path, mode);
}
FILE *fopen64(const char *path, const char *mode) {
    CALL(fopen64);
    FAIL_IF_TOLD(NULL);
    return real(path, mode);
}
FILE *fdopen(int file, const char *mode) {
    CALL(fdopen);
    FAIL_IF_TOLD(NULL);
    return real(file, mode);
}
DIR *opendir(const char *path) {
    CALL(opendir);
    FAIL_IF_TOLD(NULL);
    return real(path);
}
DIR *fdopendir(int file) {
    CALL(fdopendir);
    FAIL_IF_TOLD(NULL);
    return real(file);
}
int socketpair(int domain, int type, int protocol, int ends[2]) {
    CALL(socketpair);
    FAIL_IF_TOLD(-1);
    return real(domain, type, protocol, ends);
}

/* -- reading -- */

#define HALF(count) ((count) > 1 ? (count) / 2 : (count))

ssize_t read(int file, void *to, size_t count) {
    CALL(read);
    if (error == 0) return real(file, to, HALF(count));
    FAIL_IF_TOLD(-1);
    return real(file, to, count);
}
ssize_t pread(int file, void *to, size_t count, off_t at) {
    CALL(pread);
    if (error == 0) return real(file, to, HALF(count), at);
    FAIL_IF_TOLD(-1);
    return real(file, to, count, at);
}
ssize_t pread64(int file, void *to, size_t count, off_t at) {
    CALL(pread64);
    if (error == 0) return real(file, to, HALF(count), at);
    FAIL_IF_TOLD(-1);
    return real(file, to, count, at);
}

/* A stream whose system call failed remembers it. */
#define STREAM_FAILS(stream, result)                                                                         \
    if (error != GO_ON) return (stream)->_flags |= STREAM_ERROR, errno = error, result

size_t fread(void *to, size_t size, size_t count, FILE *stream) {
    CALL(fread);
    STREAM_FAILS(stream, 0);
    return real(to, size, count, stream);
}
char *fgets(char *to, int count, FILE *stream) {
    CALL(fgets);
    STREAM_FAILS(stream, NULL);
    return real(to, count, stream);
}
ssize_t getline(char **to, size_t *count, FILE *stream) {
    CALL(getline);
    STREAM_FAILS(stream, -1);
    return real(to, count, stream);
}
struct dirent *readdir(DIR *folder) {
    CALL(readdir);
    FAIL_IF_TOLD(NULL);
    return real(folder);
}
struct dirent64 *readdir64(DIR *folder) {
    CALL(readdir64);
    FAIL_IF_TOLD(NULL);
    return real(folder);
}

/* -- writing; what goes to stderr is never touched: it tells of the fault -- */

ssize_t write(int file, const void *from, size_t count) {
    if (file == STDERR_FILENO) return syscall(SYS_write, file, from, count);
    CALL(write);
    if (error == 0) return real(file, from, HALF(count));
    FAIL_IF_TOLD(-1);
    return real(file, from, count);
}
ssize_t pwrite(int file, const void *from, size_t count, off_t at) {
    CALL(pwrite);
    if (error == 0) return real(file, from, HALF(count), at);
    FAIL_IF_TOLD(-1);
    return real(file, from, count, at);
}
ssize_t pwrite64(int file, const void *from, size_t count, off_t at) {
    CALL(pwrite64);
    if (error == 0) return real(file, from, HALF(count), at);
    FAIL_IF_TOLD(-1);
    return real(file, from, count, at);
}

#define STREAM_CALL(function, stream, result, ...)                                                           \
    if ((stream) == stderr) {                                                                                \
        static __typeof__(function) *past;                                                                   \
        if (!past) past = (__typeof__(function) *)dlsym(RTLD_NEXT, #function);                               \
        return past(__VA_ARGS__);                                                                            \
    }                                                                                                        \
    CALL(function);                                                                                          \
    STREAM_FAILS(stream, result);                                                                            \
    return real(__VA_ARGS__)

size_t fwrite(const void *from, size_t size, size_t count, FILE *stream) {
    STREAM_CALL(fwrite, stream, 0, from, size, count, stream);
}
int fputs(const char *text, FILE *stream) { STREAM_CALL(fputs, stream, EOF, text, stream); }
int fputc(int c, FILE *stream) { STREAM_CALL(fputc, stream, EOF, c, stream); }
int putc(int c, FILE *stream) { STREAM_CALL(putc, stream, EOF, c, stream); }
int puts(const char *text) { STREAM_CALL(puts, stdout, EOF, text); }
int putchar(int c) { STREAM_CALL(putchar, stdout, EOF, c); }
int vfprintf(FILE *stream, const char *format, va_list rest) {
    STREAM_CALL(vfprintf, stream, -1, stream, format, rest);
}

#define PRINTED(name, stream, format, result)                                                                \
    va_list rest;                                                                                            \
    static __typeof__(vfprintf) *real;                                                                       \
    if (!real) real = (__typeof__(vfprintf) *)dlsym(RTLD_NEXT, "vfprintf");                                  \
    const int error = (stream) == stderr ? GO_ON : fault(name);                                              \
    STREAM_FAILS(stream, result);                                                                            \
    va_start(rest, format);                                                                                  \
    const int n = real(stream, format, rest);                                                                \
    va_end(rest);                                                                                            \
    return n

int fprintf(FILE *stream, const char *format, ...) { PRINTED("fprintf", stream, format, -1); }
int printf(const char *format, ...) { PRINTED("printf", stdout, format, -1); }
int __fprintf_chk(FILE *stream, int flag, const char *format, ...) {
    (void)flag;
    PRINTED("fprintf", stream, format, -1);
}
int __printf_chk(int flag, const char *format, ...) {
    (void)flag;
    PRINTED("printf", stdout, format, -1);
}
int fflush(FILE *stream) {
    static __typeof__(fflush) *past;
    if (!stream || stream == stderr) {
        if (!past) past = (__typeof__(fflush) *)dlsym(RTLD_NEXT, "fflush");
        return past(stream);
    }
    CALL(fflush);
    STREAM_FAILS(stream, EOF);
    return real(stream);
}
int ftruncate(int file, off_t size) {
    CALL(ftruncate);
    FAIL_IF_TOLD(-1);
    return real(file, size);
}
int ftruncate64(int file, off_t size) {
    CALL(ftruncate64);
    FAIL_IF_TOLD(-1);
    return real(file, size);
}
int posix_fallocate(int file, off_t at, off_t size) {
    CALL(posix_fallocate);
    if (error != GO_ON) return error;
    return real(file, at, size);
}
int posix_fallocate64(int file, off_t at, off_t size) {
    CALL(posix_fallocate64);
    if (error != GO_ON) return error;
    return real(file, at, size);
}

/* -- closing and syncing: what fails has happened all the same -- */

int close(int file) {
    CALL(close);
    const int result = real(file);
    FAIL_IF_TOLD(-1);
    return result;
}
int fclose(FILE *stream) {
    CALL(fclose);
    const int result = real(stream);
    FAIL_IF_TOLD(EOF);
    return result;
}
int closedir(DIR *folder) {
    CALL(closedir);
    const int result = real(folder);
    FAIL_IF_TOLD(-1);
    return result;
}
int munmap(void *at, size_t bytes) {
    CALL(munmap);
    const int result = real(at, bytes);
    FAIL_IF_TOLD(-1);
    return result;
}
int fsync(int file) {
    CALL(fsync);
    FAIL_IF_TOLD(-1);
    return real(file);
}
int fdatasync(int file) {
    CALL(fdatasync);
    FAIL_IF_TOLD(-1);
    return real(file);
}

/* -- names -- */

#define NAME_CALL(function, parameters, ...)                                                                 \
    int function parameters {                                                                                \
        CALL(function);                                                                                      \
        FAIL_IF_TOLD(-1);                                                                                    \
        return real(__VA_ARGS__);                                                                            \
    }

NAME_CALL(rename, (const char *from, const char *to), from, to)
NAME_CALL(mkdir, (const char *path, mode_t mode), path, mode)
NAME_CALL(unlink, (const char *path), path)
NAME_CALL(rmdir, (const char *path), path)
NAME_CALL(remove, (const char *path), path)
NAME_CALL(symlink, (const char *to, const char *path), to, path)
NAME_CALL(link, (const char *to, const char *path), to, path)
NAME_CALL(fchmod, (int file, mode_t mode), file, mode)

NAME_CALL(stat, (const char *path, struct stat *out), path, out)
NAME_CALL(stat64, (const char *path, struct stat64 *out), path, out)
NAME_CALL(lstat, (const char *path, struct stat *out), path, out)
NAME_CALL(fstat, (int file, struct stat *out), file, out)
NAME_CALL(fstat64, (int file, struct stat64 *out), file, out)
NAME_CALL(fstatat, (int folder, const char *path, struct stat *out, int flags), folder, path, out, flags)

/* -- starting -- */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *self) {
    CALL(pthread_create);
    if (error != GO_ON) return error;
    return real(thread, attributes, run, self);
}
pid_t fork(void) {
    CALL(fork);
    FAIL_IF_TOLD(-1);
    return real();
}
