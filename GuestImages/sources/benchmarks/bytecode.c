// A stack machine with one switch for all operations, running three programs: loops, recursion and a sieve.
#include "../benchmark.h"

enum Operation {
    push, load, store, fetch, put, add, subtract, multiply, modulo, less, equal, jump, jump_if_zero, call, give, drop, halt
};
// Locals live in the frame: `load k` reads local k of the current call, `call target` starts a frame.

enum { stackSize = 4096, memorySize = 8192 };
typedef struct {
    int32_t code[256];
    int length;
} Program;

static int64_t stack[stackSize], memory[memorySize];

static void emit(Program *program, enum Operation operation, int32_t operand) {
    program->code[program->length++] = operation;
    program->code[program->length++] = operand;
}

static int64_t run(const Program *program, int64_t argument) {
    const int32_t *code = program->code;
    int64_t *top = stack, *frame = stack;
    int at = 0;
    *top++ = argument;
    for (int i = 0; i < 7; i++) *top++ = 0;
    for (;;) {
        int32_t operand = code[at + 1];
        switch ((enum Operation)code[at]) {
        case push: *top++ = operand; break;
        case load: *top++ = frame[operand]; break;
        case store: frame[operand] = *--top; break;
        case fetch: top[-1] = memory[top[-1] & (memorySize - 1)]; break;
        case put: top -= 2; memory[top[0] & (memorySize - 1)] = top[1]; break;
        case add: top--; top[-1] += top[0]; break;
        case subtract: top--; top[-1] -= top[0]; break;
        case multiply: top--; top[-1] = (int64_t)((uint64_t)top[-1] * (uint64_t)top[0]); break;
        case modulo: top--; top[-1] %= top[0]; break;
        case less: top--; top[-1] = top[-1] < top[0]; break;
        case equal: top--; top[-1] = top[-1] == top[0]; break;
        case jump: at = operand; continue;
        case jump_if_zero:
            if (*--top == 0) {
                at = operand;
                continue;
            }
            break;
        case call: { // the argument on top becomes local 0 of the new frame; three more locals follow
            int64_t caller = frame - stack;
            frame = top - 1;
            for (int i = 0; i < 3; i++) *top++ = 0;
            *top++ = at + 2;
            *top++ = caller;
            at = operand;
            continue;
        }
        case give: {
            int64_t value = *--top;
            top = frame;
            at = (int)frame[4];
            frame = stack + frame[5];
            *top++ = value;
            continue;
        }
        case drop: top--; break;
        case halt: return *--top;
        }
        at += 2;
    }
}

/// Sum of a linear congruence: local 0 counts down, local 1 is the state.
static Program congruence(void) {
    Program p = {.length = 0};
    emit(&p, load, 0);
    int exit_test = p.length;
    emit(&p, jump_if_zero, 0);
    emit(&p, load, 1); emit(&p, push, 1103515); emit(&p, multiply, 0); emit(&p, push, 12345); emit(&p, add, 0);
    emit(&p, push, 2147483); emit(&p, modulo, 0); emit(&p, store, 1);
    emit(&p, load, 0); emit(&p, push, 1); emit(&p, subtract, 0); emit(&p, store, 0);
    emit(&p, jump, 0);
    p.code[exit_test + 1] = p.length;
    emit(&p, load, 1);
    emit(&p, halt, 0);
    return p;
}

static Program fibonacci(void) {
    Program p = {.length = 0};
    emit(&p, load, 0);
    emit(&p, call, 6);
    emit(&p, halt, 0);
    emit(&p, load, 0); emit(&p, push, 2); emit(&p, less, 0); emit(&p, jump_if_zero, 18);
    emit(&p, load, 0); emit(&p, give, 0);
    emit(&p, load, 0); emit(&p, push, 1); emit(&p, subtract, 0); emit(&p, call, 6);
    emit(&p, load, 0); emit(&p, push, 2); emit(&p, subtract, 0); emit(&p, call, 6);
    emit(&p, add, 0); emit(&p, give, 0);
    return p;
}

/// Counts primes below local 0: local 1 is the candidate, 2 the multiple, 3 the count.
static Program sieve(void) {
    Program p = {.length = 0};
    emit(&p, push, 2); emit(&p, store, 1);
    int clear = p.length;
    emit(&p, load, 1); emit(&p, load, 0); emit(&p, less, 0);
    int clear_exit = p.length;
    emit(&p, jump_if_zero, 0);
    emit(&p, load, 1); emit(&p, push, 1); emit(&p, put, 0);
    emit(&p, load, 1); emit(&p, push, 1); emit(&p, add, 0); emit(&p, store, 1);
    emit(&p, jump, clear);
    p.code[clear_exit + 1] = p.length;
    emit(&p, push, 2); emit(&p, store, 1);
    int outer = p.length;
    emit(&p, load, 1); emit(&p, load, 0); emit(&p, less, 0);
    int outer_exit = p.length;
    emit(&p, jump_if_zero, 0);
    emit(&p, load, 1); emit(&p, fetch, 0);
    int skip = p.length;
    emit(&p, jump_if_zero, 0);
    emit(&p, load, 3); emit(&p, push, 1); emit(&p, add, 0); emit(&p, store, 3);
    emit(&p, load, 1); emit(&p, load, 1); emit(&p, add, 0); emit(&p, store, 2);
    int inner = p.length;
    emit(&p, load, 2); emit(&p, load, 0); emit(&p, less, 0);
    int inner_exit = p.length;
    emit(&p, jump_if_zero, 0);
    emit(&p, load, 2); emit(&p, push, 0); emit(&p, put, 0);
    emit(&p, load, 2); emit(&p, load, 1); emit(&p, add, 0); emit(&p, store, 2);
    emit(&p, jump, inner);
    p.code[inner_exit + 1] = p.code[skip + 1] = p.length;
    emit(&p, load, 1); emit(&p, push, 1); emit(&p, add, 0); emit(&p, store, 1);
    emit(&p, jump, outer);
    p.code[outer_exit + 1] = p.length;
    emit(&p, load, 3); emit(&p, halt, 0);
    return p;
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 80), sum = 0;
    Program loop = congruence(), recursive = fibonacci(), primes = sieve();
    for (uint64_t round = 0; round < rounds; round++) {
        sum = fold(sum, (uint64_t)run(&loop, 100000 + (int64_t)round));
        int64_t value = run(&recursive, 22);
        require(value == 17711, "Fibonacci number 22");
        int64_t found = run(&primes, 8192);
        require(found == 1028, "1028 primes below 8192");
        sum = fold(sum, (uint64_t)(value * found));
    }
    return report("bytecode", sum);
}
