#include "stop.h"

#include "tensor/ranks.h"
#include <signal.h>

static volatile sig_atomic_t caught; /* sig_atomic_t is int on every system with argp (glibc) */

static void handle(int number) {
    if (caught) { /* not listened to, or not fast enough: the default action, when this handler returns */
        signal(number, SIG_DFL);
        raise(number);
    }
    caught = number;
}

const volatile int *ich_stop_flag(void) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (ich_ranks() > 1) sigaction(SIGUSR1, &action, NULL); /* what mpirun and Slurm pass on in time */
    signal(SIGPIPE, SIG_IGN); /* long work is not lost because nobody reads of its progress any more */
    return &caught;
}

const char *ich_stop_name(void) {
    return caught == SIGINT ? "SIGINT" : caught == SIGUSR1 ? "SIGUSR1" : "SIGTERM";
}
