/* Two threads of one team and a number: with `race` they add to it without a word to each other, else in
 * turns. The thread sanitizer must tell these apart, or its silence over the rest of the tests would say
 * nothing.
 */
#include <stdio.h>
#include <string.h>

static int together(int rounds) {
    int sum = 0;
#pragma omp parallel num_threads(2)
    for (int i = 0; i < rounds; i++) sum++;
    return sum;
}

static int in_turns(int rounds) {
    int sum = 0, before[2] = {0};
#pragma omp parallel for num_threads(2)
    for (int i = 0; i < 2; i++) before[i] = rounds;
#pragma omp parallel for num_threads(2) reduction(+ : sum)
    for (int i = 0; i < 2; i++)
        sum += before[1 - i]; /* what the other one wrote: the loop's end was waited for */
    return sum;
}

int main(int argc, char **argv) {
    enum { ROUNDS = 10000 };
    const int sum = argc > 1 && !strcmp(argv[1], "race") ? together(ROUNDS) : in_turns(ROUNDS);
    printf("%d\n", sum);
    return sum == 2 * ROUNDS ? 0 : 1;
}
