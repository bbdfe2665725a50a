// What a program finds at its start: arguments, environment, auxiliary vector, stack, /proc/self, processors.
#include "check.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

extern char **environ;

static void start(int count, char **arguments) {
    EXPECT(count >= 1 && arguments[0] && arguments[count] == NULL, "arguments end with a null pointer");
    EXPECT(environ == arguments + count + 1, "the environment follows the arguments");
    char **end = environ;
    while (*end) end++;
    unsigned long *pair = (unsigned long *)(end + 1);
    int pairs = 0, has_page_size = 0;
    for (; pair[0] != AT_NULL && pairs < 100; pair += 2, pairs++) has_page_size |= pair[0] == AT_PAGESZ && pair[1] == 4096;
    EXPECT(has_page_size && pairs < 100, "the auxiliary vector follows the environment");
    const char *slash = strrchr(arguments[0], '/');
    EXPECT(strstr(slash ? slash : arguments[0], "environment"), "the first argument is the program's name");
    EXPECT(setenv("CHECK_NEW", "value", 1) == 0 && !strcmp(getenv("CHECK_NEW"), "value"), "setenv");
}

static void auxiliary(void) {
    EXPECT(getauxval(AT_PAGESZ) == 4096 && getauxval(AT_CLKTCK) == 100, "page size and clock ticks");
    EXPECT(getauxval(AT_PHDR) && getauxval(AT_PHNUM) > 1 && getauxval(AT_PHENT) == 56, "program headers");
    EXPECT(getauxval(AT_ENTRY) != 0, "the entry point");
    EXPECT(getauxval(AT_UID) == getuid() && getauxval(AT_EGID) == getegid() && getauxval(AT_SECURE) == 0, "identities");
    const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
    int different = 0;
    for (int i = 1; random && i < 16; i++) different += random[i] != random[0];
    EXPECT(different > 4, "sixteen random bytes");
    const char *name = (const char *)getauxval(AT_EXECFN);
    EXPECT(name && strstr(name, "environment"), "the file's name");
#if defined(__riscv)
    unsigned long extensions = getauxval(AT_HWCAP), wanted = 1ul << ('i' - 'a') | 1ul << ('m' - 'a') | 1ul << ('a' - 'a') | 1ul << ('f' - 'a') | 1ul << ('d' - 'a') | 1ul << ('c' - 'a');
    EXPECT((extensions & wanted) == wanted, "the extensions I, M, A, F, D and C");
#endif
}

/// Uses about `remaining` KiB of stack.
static int __attribute__((noinline)) use_stack(int remaining) {
    volatile char block[1024];
    block[0] = (char)remaining;
    block[1023] = 1;
    return remaining ? use_stack(remaining - 1) + block[1023] : block[0];
}

static void surroundings(void) {
    EXPECT(use_stack(4000) == 4000, "four megabytes of stack");
    EXPECT(((uintptr_t)__builtin_frame_address(0) & 15) == 0, "the stack is aligned");
    struct rlimit limit;
    EXPECT(getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur >= 1 << 20, "the stack's limit");
    uint64_t words[2] = {0, 0};
    EXPECT(getrandom(words, sizeof words, 0) == sizeof words && words[0] != words[1], "getrandom");
    cpu_set_t processors;
    EXPECT(sched_getaffinity(0, sizeof processors, &processors) == 0 && CPU_COUNT(&processors) >= 1, "sched_getaffinity");
    EXPECT(sysconf(_SC_NPROCESSORS_ONLN) >= 1 && sched_getcpu() >= 0, "processors");
    struct sysinfo information;
    EXPECT(sysinfo(&information) == 0 && information.totalram > 0, "sysinfo");
    EXPECT(isatty(99) == 0 && errno == EBADF, "isatty of nothing");
}

static void proc(void) {
    static char text[65536];
    int file = open("/proc/self/maps", O_RDONLY);
    ssize_t size = 0, got;
    while ((got = read(file, text + size, sizeof text - 1 - (size_t)size)) > 0) size += got;
    close(file);
    EXPECT(size > 0 && strstr(text, "[stack]"), "/proc/self/maps shows the stack");
    unsigned long code = (unsigned long)(uintptr_t)&proc, low, high;
    int found = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (sscanf(line, "%lx-%lx", &low, &high) == 2 && code >= low && code < high) found = strstr(line, "r-x") != NULL;
    EXPECT(found, "and this code as executable");
    file = open("/proc/self/cmdline", O_RDONLY);
    memset(text, 0, 300);
    EXPECT(read(file, text, 300) > 0 && strstr(text, "environment"), "/proc/self/cmdline");
    close(file);
    file = open("/proc/self/fd/1", O_WRONLY);
    EXPECT(file >= 0 || errno == EACCES || errno == ENXIO || errno == ENOENT, "/proc/self/fd");
    if (file >= 0) close(file);
    file = open("/proc/self/stat", O_RDONLY);
    memset(text, 0, 300);
    EXPECT(read(file, text, 300) > 0 && atoi(text) == getpid(), "/proc/self/stat begins with the process number");
    close(file);
}

static int constructed;
__attribute__((constructor)) static void construct(void) { constructed = 42; }

int main(int count, char **arguments) {
    EXPECT(constructed == 42, "constructors run before main");
    start(count, arguments);
    auxiliary();
    surroundings();
    proc();
    return conclude();
}
