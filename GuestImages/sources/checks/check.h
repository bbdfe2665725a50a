// Shared by every check: one "ok" line for each thing that holds, "FAILED" lines for the others, exit status 0 or 1.
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failed_checks;

/// Reports one expectation. Flushed at once, so that a crash afterwards loses nothing and a fork repeats nothing.
#define EXPECT(condition, what)                                                                                        \
    do {                                                                                                               \
        int saved_errno = errno, holds = !!(condition);                                                                \
        if (holds) printf("ok %s\n", what);                                                                            \
        else printf("FAILED %s (line %d, errno %d)\n", what, __LINE__, saved_errno), failed_checks++;                  \
        fflush(stdout);                                                                                                \
    } while (0)

static inline int conclude(void) {
    if (failed_checks) printf("%d failed\n", failed_checks);
    else printf("ok all\n");
    return failed_checks != 0;
}

#endif
