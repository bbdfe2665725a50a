#pragma once
// Running a program that may try anything: without rights, without children, without files to write, for a limited time.
#include <stddef.h>

typedef struct {
    int status;           // as from waitpid(2)
    int timed_out;        // it was ended because its time was over
    size_t error_count;   // bytes of its standard error; what did not fit was read and dropped
} confined_result;

// Runs `program` with `arguments` (NULL at the end) in an empty environment, in `directory`; standard input and output are
// /dev/null. Root's rights are given up. Returns 0, or an errno when it could not be started.
int confined_run(
    const char *program, char *const arguments[], const char *directory, int milliseconds, char *errors, size_t capacity,
    confined_result *result);
