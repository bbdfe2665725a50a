// Mappings: fixed addresses, protection, partial unmapping, moving, growing, sharing, the break, faults at page edges.
#include "check.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

static sigjmp_buf recovery;
static size_t page;

static void jump_out(int number) { siglongjmp(recovery, number); }

static int can_read(volatile char *at) {
    if (sigsetjmp(recovery, 1)) return 0;
    (void)*at;
    return 1;
}

static int can_write(volatile char *at) {
    if (sigsetjmp(recovery, 1)) return 0;
    *at = *at;
    return 1;
}

static char *map(void *where, size_t pages, int protection, int flags) {
    return mmap(where, pages * page, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static void anonymous(void) {
    char *area = map(NULL, 8, PROT_READ | PROT_WRITE, 0);
    int zero = 1;
    for (size_t i = 0; i < 8 * page; i++) zero &= area[i] == 0;
    EXPECT(area != MAP_FAILED && (uintptr_t)area % page == 0 && zero, "a new mapping is aligned and zero");
    memset(area, 0x55, 8 * page);
    EXPECT(munmap(area + 2 * page, 3 * page) == 0, "a partial unmap");
    EXPECT(can_read(area + 2 * page - 1) && !can_read(area + 2 * page) && !can_read(area + 5 * page - 1) && can_read(area + 5 * page), "exactly the middle is gone");
    char *again = map(area + 3 * page, 1, PROT_READ | PROT_WRITE, MAP_FIXED);
    EXPECT(again == area + 3 * page && *again == 0 && !can_read(again - 1) && !can_read(again + page), "MAP_FIXED into the hole");
    again = map(area, 1, PROT_READ | PROT_WRITE, MAP_FIXED);
    EXPECT(again == area && *again == 0 && area[page] == 0x55, "MAP_FIXED replaces what was there");
    EXPECT(map(area, 1, PROT_READ, MAP_FIXED_NOREPLACE) == MAP_FAILED && errno == EEXIST, "MAP_FIXED_NOREPLACE refuses");
    EXPECT(munmap(area, 8 * page) == 0 && !can_read(area) && !can_read(area + 7 * page), "an unmap over holes");
    EXPECT(munmap(area + 1, page) == -1 && errno == EINVAL, "unmapping needs an aligned address");
    EXPECT(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL, "a mapping of no length");
}

static void protection(void) {
    char *area = map(NULL, 4, PROT_NONE, 0);
    EXPECT(!can_read(area) && !can_write(area), "PROT_NONE allows nothing");
    mprotect(area + page, page, PROT_READ);
    mprotect(area + 2 * page, page, PROT_READ | PROT_WRITE);
    EXPECT(can_read(area + page) && !can_write(area + page) && can_write(area + 2 * page) && !can_read(area + 3 * page), "mprotect of single pages");
    EXPECT(!can_read(area + page - 1) && can_read(area + page), "protection begins at the page edge");
    int changes = 0;
    for (int i = 0; i < 200; i++) {
        mprotect(area, page, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
        changes += can_write(area) == !(i % 2);
    }
    EXPECT(changes == 200, "two hundred changes of protection");
    munmap(area + 3 * page, page);
    EXPECT(mprotect(area + 2 * page, 2 * page, PROT_READ) == -1 && errno == ENOMEM, "mprotect over a hole");
    EXPECT(mprotect(area, page, PROT_READ | PROT_WRITE | 8) == 0 && can_write(area), "PROT_SEM means nothing");
    EXPECT(mprotect(area, page, PROT_READ | 16) == -1 && errno == EINVAL, "mprotect checks the protection");
    // eight bytes, the last four of them in a page that forbids it
    mprotect(area + page, page, PROT_READ | PROT_WRITE);
    mprotect(area + 2 * page, page, PROT_NONE);
    uint64_t *across = (uint64_t *)(area + 2 * page - 4);
    int caught = sigsetjmp(recovery, 1);
    if (!caught) *(volatile uint64_t *)across = 0x2222222222222222ull;
    EXPECT(caught == SIGSEGV, "a store across a forbidden edge faults");
    munmap(area, 3 * page);
}

static void moving(void) {
    char *area = map(NULL, 4, PROT_READ | PROT_WRITE, 0);
    for (size_t i = 0; i < 4; i++) area[i * page] = (char)('a' + i);
    char *same = mremap(area, 4 * page, 2 * page, 0);
    EXPECT(same == area && area[page] == 'b' && !can_read(area + 2 * page), "mremap shrinks in place");
    char *larger = mremap(area, 2 * page, 64 * page, MREMAP_MAYMOVE);
    EXPECT(larger != MAP_FAILED && larger[0] == 'a' && larger[page] == 'b' && larger[63 * page] == 0, "mremap grows");
    char *target = map(NULL, 64, PROT_NONE, 0);
    char *moved = mremap(larger, 64 * page, 64 * page, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    EXPECT(moved == target && moved[page] == 'b' && (larger == target || !can_read(larger)), "mremap to a fixed place");
    EXPECT(madvise(moved, 64 * page, MADV_DONTNEED) == 0 && moved[page] == 0, "MADV_DONTNEED gives zeros");
    munmap(moved, 64 * page);
}

static void files(void) {
    char path[] = "/tmp/check-memory-XXXXXX";
    int descriptor = mkstemp(path);
    unlink(path);
    if (ftruncate(descriptor, (off_t)(3 * page))) perror("ftruncate");
    EXPECT(pwrite(descriptor, "second page", 11, (off_t)page) == 11, "a file to map");
    char *shared = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    char *copy = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, (off_t)page);
    EXPECT(!memcmp(shared + page, "second", 6) && !memcmp(copy, "second", 6), "both mappings show the file");
    copy[0] = 'S';
    EXPECT(shared[page] == 's', "a private mapping keeps its writes");
    shared[page + 1] = 'E';
    char read_back[6];
    EXPECT(pread(descriptor, read_back, 6, (off_t)page) == 6 && !memcmp(read_back, "sEcond", 6), "a shared mapping writes the file");
    EXPECT(msync(shared, 3 * page, MS_SYNC) == 0, "msync");
    char *second = mmap(NULL, page, PROT_READ, MAP_SHARED, descriptor, (off_t)page);
    shared[page + 2] = 'C';
    EXPECT(second[2] == 'C', "two shared mappings are one memory");
    if (ftruncate(descriptor, (off_t)page)) perror("ftruncate");
    EXPECT(!can_read(shared + 2 * page), "a page beyond the file's end faults");
    EXPECT(mmap(NULL, page, PROT_READ, MAP_SHARED, 999, 0) == MAP_FAILED && errno == EBADF, "a bad descriptor");
    EXPECT(mmap(NULL, page, PROT_READ, MAP_SHARED, descriptor, 1) == MAP_FAILED && errno == EINVAL, "an offset that is not aligned");
    munmap(shared, 3 * page), munmap(copy, 2 * page), munmap(second, page);
    close(descriptor);
    descriptor = memfd_create("check", MFD_CLOEXEC);
    EXPECT(descriptor >= 0 && ftruncate(descriptor, 100) == 0, "memfd_create");
    close(descriptor);
}

static void the_break(void) {
    char *start = sbrk(0);
    EXPECT(start != (void *)-1 && sbrk((intptr_t)(3 * page)) == start, "the break grows");
    memset(start, 1, 3 * page);
    char *end = sbrk(0);
    EXPECT(end == start + 3 * page && sbrk(-(intptr_t)(3 * page)) == end && sbrk(0) == start, "and shrinks");
    sbrk((intptr_t)(3 * page));
    EXPECT(start[2 * page] == 0, "memory below a new break is zero");
}

static void allocation(void) {
    static unsigned char *blocks[500];
    uint64_t seed = 5;
    int good = 1;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        unsigned slot = (unsigned)(seed >> 33) % 500;
        size_t size = 1 + ((seed >> 20) & (i % 50 ? 0x3ff : 0x3ffff));
        if (blocks[slot]) {
            good &= blocks[slot][0] == (unsigned char)slot;
            if (seed >> 63) {
                blocks[slot] = realloc(blocks[slot], size);
                good &= blocks[slot][0] == (unsigned char)slot;
            } else {
                free(blocks[slot]);
                blocks[slot] = NULL;
            }
        } else {
            blocks[slot] = malloc(size);
            memset(blocks[slot], (int)slot, size);
        }
    }
    EXPECT(good, "malloc, realloc and free keep contents");
    void *aligned = NULL;
    EXPECT(posix_memalign(&aligned, 4096, 100) == 0 && (uintptr_t)aligned % 4096 == 0, "posix_memalign");
}

int main(void) {
    page = (size_t)sysconf(_SC_PAGESIZE);
    signal(SIGSEGV, jump_out);
    signal(SIGBUS, jump_out);
    EXPECT(page == 4096, "pages of 4096 bytes");
    anonymous();
    protection();
    moving();
    files();
    the_break();
    allocation();
    return conclude();
}
