/* The caller's process hands out tasks over one socket a worker, of the kind that keeps messages apart and
 * shows at once when the other side is gone. What a worker touches stands in memory that both can see, since
 * a worker that crashes can tell nothing.
 */
#include "dicom_worker.h"
#include "sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SETTLING_SECONDS = 5, /* of processor time until a worker is ready: see settle() */
    WAITING_SECONDS = 60, /* more an item may take, with waiting for the disk or the network */
    MOST_PROCESSES = 64,
};

typedef enum message_kind { TOLD, ENDED } message_kind;

typedef struct message { /* from a worker */
    message_kind kind;
    bool bad;
    ich_task_end end;
    size_t item;
    char text[sizeof(((ich_error *)0)->text)];
} message;

struct ich_worker {
    pid_t pid;
    int socket;               /* this process's end */
    volatile size_t *touched; /* shared */
    int seconds;
    size_t task; /* of the caller's process: given out; ICH_NO_ITEM: idle */
};

typedef struct run {
    const ich_work *work;
    ich_worker workers[MOST_PROCESSES];
    int n_workers;
    size_t *touched; /* [n_workers] shared */
    size_t next;     /* the first task not yet given out */
    size_t fatal[2]; /* the task and item that a worker died of last: a second time ends the task */
    bool broken;
    ich_error *err;
} run;

/* -- inside a worker ------------------------------------------------------------------------------------- */

/* Of processor time, 0: no limit. The worker's own instructions alone count: a kernel that is short of memory
 * bills a stalled read as its reader's processor time, and no decoder's fault is in there. */
static void limit_time(int seconds) {
    const struct itimerval left = {.it_value.tv_sec = seconds};
    setitimer(ITIMER_VIRTUAL, &left, NULL);
    alarm(seconds > 0 ? WAITING_SECONDS + (unsigned)seconds : 0);
}

void ich_worker_touch(ich_worker *worker, size_t item) {
    *worker->touched = item;
    limit_time(item == ICH_NO_ITEM ? 0 : worker->seconds);
}

static void post(ich_worker *worker, const message *m) {
    if (send(worker->socket, m, sizeof *m, MSG_NOSIGNAL) != sizeof *m) _exit(0); /* the caller is gone */
}

void ich_worker_tell(ich_worker *worker, size_t item, bool bad, const char *text) {
    message m = {.kind = TOLD, .item = item, .bad = bad};
    snprintf(m.text, sizeof m.text, "%s", text);
    post(worker, &m);
}

static _Noreturn void serve(ich_worker *worker, const ich_work *work) {
    size_t task;
    while (recv(worker->socket, &task, sizeof task, 0) == sizeof task) {
        ich_error why = {0};
        message m = {.kind = ENDED, .item = task};
        m.end = work->work(work->self, task, worker, &why);
        ich_worker_touch(worker, ICH_NO_ITEM);
        memcpy(m.text, why.text, sizeof m.text);
        post(worker, &m);
    }
    _exit(0);
}

/* Its socket becomes the first file after the standard ones, and the last: what else the caller has open is
 * none of a decoder's business, and another worker's socket here would keep that one from seeing its end. */
static void keep_only(int socket) {
    enum { KEPT = STDERR_FILENO + 1 };
    const int away = fcntl(socket, F_DUPFD, KEPT); /* the caller may have had a standard one closed */
    const int null = open("/dev/null", O_RDWR);    /* decoders print */
    if (away < 0 || null < 0) _exit(1);
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) dup2(null, i);
    if (dup2(away, KEPT) < 0) _exit(1);
    closefrom(KEPT + 1);
}

/* What the child must change before it touches a file. Signals from the keyboard are for the parent, which
 * lets the tasks that are under way finish. */
static void settle(ich_worker *worker, int socket, pid_t parent, const ich_work *work) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL); /* the caller's handlers are not for us */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    keep_only(socket);
    worker->socket = STDERR_FILENO + 1;
    limit_time(SETTLING_SECONDS); /* libseccomp 2.5 has no end where memory runs out */
    ich_sandbox_enter(work->memory, work->writes);
    limit_time(0);
}

/* -- workers --------------------------------------------------------------------------------------------- */

static bool start(run *r, int i) {
    int ends[2];
    ich_worker *worker = &r->workers[i];
    const pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return ich_fail(r->err, "a worker process cannot be started (%s): close other programs",
                        strerror(errno));
    r->touched[i] = ICH_NO_ITEM;
    *worker = (ich_worker){
        .socket = ends[0], .touched = &r->touched[i], .seconds = r->work->seconds, .task = ICH_NO_ITEM};
    worker->pid = fork();
    if (worker->pid == 0) {
        settle(worker, ends[1], parent, r->work);
        serve(worker, r->work);
    }
    close(ends[1]);
    if (worker->pid > 0) return true;
    close(ends[0]);
    worker->socket = -1;
    return ich_fail(r->err, "a worker process cannot be started (%s): close other programs", strerror(errno));
}

static bool give(ich_worker *worker, size_t task) {
    worker->task = task;
    return send(worker->socket, &task, sizeof task, MSG_NOSIGNAL) == sizeof task;
}

static void describe_death(int status, size_t item, int seconds, char *text, size_t size) {
    const int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (item == ICH_NO_ITEM)
        snprintf(text, size,
                 "its worker process ended (%s) while it had no file to read: close other programs",
                 number ? strsignal(number) : "exit");
    else if (number == SIGVTALRM || number == SIGALRM)
        snprintf(text, size, "takes more than %d s to decode: it is damaged, copy it again from its source",
                 number == SIGVTALRM ? seconds : WAITING_SECONDS + seconds);
    else if (number == SIGSYS)
        snprintf(text, size, "drives its decoder to a forbidden system call: beware of it, ask its source");
    else
        snprintf(text, size, "crashes its decoder (%s): it is damaged, copy it again from its source",
                 number ? strsignal(number) : "exit");
}

/* A worker is gone. What it touched is bad; its task is done again by another, without that. */
static bool bury(run *r, int i) {
    ich_worker *worker = &r->workers[i];
    const size_t task = worker->task, item = r->touched[i];
    int status = 0;
    char text[200];
    close(worker->socket);
    worker->socket = -1;
    waitpid(worker->pid, &status, 0);
    describe_death(status, item, worker->seconds, text, sizeof text);
    const bool again =
        task != ICH_NO_ITEM && item != ICH_NO_ITEM && (task != r->fatal[0] || item != r->fatal[1]);
    if (again)
        r->work->told(r->work->self, task, item, true, text);
    else if (task != ICH_NO_ITEM)
        r->work->ended(r->work->self, task, false, text);
    r->fatal[0] = task, r->fatal[1] = item;
    return start(r, i) && (!again || give(&r->workers[i], task));
}

/* -- the run --------------------------------------------------------------------------------------------- */

static bool hear(run *r, int i) {
    ich_worker *worker = &r->workers[i];
    message m;
    const ssize_t got = recv(worker->socket, &m, sizeof m, 0);
    if (got < 0 && errno == EINTR) return true;
    if (got != sizeof m) return bury(r, i);
    m.text[sizeof m.text - 1] = '\0';
    if (m.kind == TOLD) {
        r->work->told(r->work->self, worker->task, m.item, m.bad, m.text);
        return true;
    }
    if (m.end == ICH_TASK_AGAIN) return give(worker, worker->task) || bury(r, i);
    if (m.end == ICH_TASK_BROKEN) {
        r->broken = true;
        ich_fail(r->err, "%s", m.text);
    } else {
        r->work->ended(r->work->self, worker->task, m.end == ICH_TASK_DONE, m.text);
    }
    worker->task = ICH_NO_ITEM;
    return true;
}

/* Gives every idle worker a task, if there are any left and nobody wants to stop. Returns how many work. */
static int hand_out(run *r, bool stopping) {
    int busy = 0;
    for (int i = 0; i < r->n_workers; i++) {
        ich_worker *worker = &r->workers[i];
        if (worker->task == ICH_NO_ITEM && r->next < r->work->n_tasks && !stopping && !r->broken)
            give(worker, r->next++); /* if it is gone, hear() will find out */
        busy += worker->task != ICH_NO_ITEM;
    }
    return busy;
}

static bool hear_any(run *r) {
    struct pollfd fds[MOST_PROCESSES];
    for (int i = 0; i < r->n_workers; i++)
        fds[i] = (struct pollfd){.fd = r->workers[i].socket, .events = POLLIN};
    if (poll(fds, (nfds_t)r->n_workers, -1) < 0)
        return errno == EINTR || ich_fail(r->err, "worker processes cannot be heard (%s)", strerror(errno));
    for (int i = 0; i < r->n_workers; i++)
        if (fds[i].revents && !hear(r, i)) return false;
    return true;
}

static void dismiss(run *r) {
    for (int i = 0; i < r->n_workers; i++) {
        if (r->workers[i].socket < 0) continue;
        close(r->workers[i].socket);
        if (r->workers[i].task != ICH_NO_ITEM) kill(r->workers[i].pid, SIGKILL);
        waitpid(r->workers[i].pid, NULL, 0);
    }
}

bool ich_work_run(const ich_work *work, const volatile int *stop, ich_error *err) {
    run r = {.work = work, .err = err, .fatal = {ICH_NO_ITEM, ICH_NO_ITEM}};
    if (work->n_tasks == 0) return true;
    int wanted = work->processes < 1                ? 1
                 : work->processes > MOST_PROCESSES ? MOST_PROCESSES
                                                    : work->processes;
    if ((size_t)wanted > work->n_tasks) wanted = (int)work->n_tasks;
    r.touched = mmap(NULL, (size_t)wanted * sizeof *r.touched, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r.touched == MAP_FAILED) return ich_fail(err, "out of memory: worker processes");
    bool done = true;
    while (done && r.n_workers < wanted) {
        done = start(&r, r.n_workers);
        r.n_workers += done;
    }
    while (done && hand_out(&r, stop && *stop)) done = hear_any(&r);
    dismiss(&r);
    munmap(r.touched, (size_t)wanted * sizeof *r.touched);
    if (!done || r.broken) return false;
    return r.next == work->n_tasks || ich_fail(err, "stopped: start again to go on");
}
