// Between the kernel and its programs: system calls, by number in a7, and where a program's memory is.
#pragma once
enum { CALL_WRITE = 64, CALL_EXIT = 93, CALL_YIELD = 124, CALL_PID = 172, CALL_SPAWN = 1000, CALL_WAIT, CALL_SLEEP, CALL_GROW, CALL_HART };
#define USER_IMAGE 0x2000000000ul
#define USER_HEAP  0x2800000000ul
#define USER_STACK 0x3000000000ul // grows down from here
#define USER_STACK_BYTES 0x10000ul
enum { PROGRAM_INIT, PROGRAM_COUNT, PROGRAM_FLOAT, PROGRAM_MEMORY, PROGRAM_FAULT, PROGRAM_SLEEP, PROGRAM_TREE };
