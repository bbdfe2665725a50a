// Calls on descriptors beyond reading and writing: moving data between them, opening with conditions, attributes, watches.
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>

static char directory_path[] = "/tmp/check-descriptors-XXXXXX";
static int directory;

static int is_missing(void) { return errno == ENOSYS || errno == EPERM || errno == EOPNOTSUPP; }

static int contains(int descriptor, const char *text) {
    char buffer[64] = "";
    return pread(descriptor, buffer, 63, 0) == (ssize_t)strlen(text) && !strcmp(buffer, text);
}

static void moving(void) {
    int source = memfd_create("source", MFD_CLOEXEC), target = memfd_create("target", 0), ends[2], others[2];
    EXPECT(source >= 0 && target >= 0 && write(source, "0123456789", 10) == 10, "memfd_create");
    off_t from = 2;
    EXPECT(sendfile(target, source, &from, 4) == 4 && from == 6 && contains(target, "2345"), "sendfile with an offset moves only that");
    loff_t in = 8, out = 1;
    EXPECT(copy_file_range(source, &in, target, &out, 2, 0) == 2 && in == 10 && out == 3 && contains(target, "2895"), "copy_file_range");
    EXPECT(pipe2(ends, O_CLOEXEC) == 0 && pipe2(others, O_NONBLOCK) == 0, "pipe2");
    in = 0;
    EXPECT(splice(source, &in, ends[1], NULL, 5, 0) == 5 && in == 5, "splice into a pipe");
    EXPECT(tee(ends[0], others[1], 5, 0) == 5, "tee copies what stays");
    char buffer[16] = "";
    EXPECT(read(others[0], buffer, 16) == 5 && !memcmp(buffer, "01234", 5), "the copy");
    out = 4;
    EXPECT(splice(ends[0], NULL, target, &out, 5, 0) == 5 && contains(target, "289501234"), "splice out of a pipe");
    struct iovec part = { (void *)"gift", 4 };
    EXPECT(vmsplice(ends[1], &part, 1, 0) == 4 && read(ends[0], buffer, 16) == 4 && !memcmp(buffer, "gift", 4), "vmsplice");
    EXPECT(fcntl(ends[1], F_SETPIPE_SZ, 65536) == 65536 && fcntl(ends[0], F_GETPIPE_SZ) == 65536, "the size of a pipe");
    EXPECT(read(others[0], buffer, 1) == -1 && errno == EAGAIN && (fcntl(others[0], F_GETFL) & O_NONBLOCK), "O_NONBLOCK of pipe2");
    close(ends[0]), close(ends[1]), close(others[0]), close(others[1]), close(source), close(target);
}

static void positions(void) {
    int file = openat(directory, "holes", O_RDWR | O_CREAT, 0600);
    struct iovec out[2] = { { (void *)"ab", 2 }, { (void *)"cd", 2 } };
    EXPECT(pwritev(file, out, 2, 3) == 4 && lseek(file, 0, SEEK_CUR) == 0, "pwritev leaves the position");
    EXPECT(pwritev2(file, out, 1, -1, 0) == 2 && lseek(file, 0, SEEK_CUR) == 2, "pwritev2 at -1 moves it");
    char first[2], second[8];
    struct iovec in[2] = { { first, 2 }, { second, 8 } };
    EXPECT(preadv2(file, in, 2, 3, 0) == 4 && !memcmp(first, "ab", 2) && !memcmp(second, "cd", 2), "preadv2");
    EXPECT(pwritev2(file, out, 1, 0, RWF_APPEND) == 2 && lseek(file, 0, SEEK_END) == 9, "RWF_APPEND");
    EXPECT(fallocate(file, 0, 0, 1 << 20) == 0 && lseek(file, 0, SEEK_END) == 1 << 20, "fallocate makes room");
    EXPECT(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 65536) == 0 || is_missing(), "and a hole");
    EXPECT(posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL) == 0 && readahead(file, 0, 4096) == 0, "advice");
    EXPECT(sync_file_range(file, 0, 4096, SYNC_FILE_RANGE_WRITE) == 0 && syncfs(file) == 0, "sync_file_range and syncfs");
    EXPECT(flock(file, LOCK_EX | LOCK_NB) == 0 && flock(file, LOCK_UN) == 0, "flock");
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 3 };
    EXPECT(fcntl(file, F_OFD_SETLK, &lock) == 0, "a lock of the open file");
    int again = openat(directory, "holes", O_RDWR | O_CLOEXEC);
    struct flock asked = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100 };
    EXPECT(fcntl(again, F_OFD_GETLK, &asked) == 0 && asked.l_type == F_WRLCK && asked.l_start == 5 && asked.l_len == 3 && asked.l_pid == -1,
           "another sees where it is");
    close(again), close(file);
}

static void opening(void) {
    struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_BENEATH };
    int file = (int)syscall(SYS_openat2, directory, "holes", &how, sizeof how);
    EXPECT(file >= 0 || is_missing(), "openat2");
    close(file);
    EXPECT(syscall(SYS_openat2, directory, "../", &how, sizeof how) == -1 && (errno == EXDEV || is_missing()), "it stays beneath");
    EXPECT(syscall(SYS_openat2, directory, "holes", &how, 3) == -1 && (errno == EINVAL || is_missing()), "and checks the size");
    EXPECT(syscall(SYS_faccessat2, directory, "holes", R_OK, AT_EACCESS) == 0 || is_missing(), "faccessat2");
    int path = openat(directory, "holes", O_PATH | O_CLOEXEC);
    char byte;
    struct stat status;
    EXPECT(path >= 0 && read(path, &byte, 1) == -1 && errno == EBADF && fstat(path, &status) == 0, "O_PATH");
    EXPECT(fstatat(path, "", &status, AT_EMPTY_PATH) == 0 && status.st_size == 1 << 20 && status.st_blksize >= 512, "AT_EMPTY_PATH");
    close(path);
    int unnamed = openat(directory, ".", O_TMPFILE | O_RDWR, 0600);
    EXPECT(unnamed >= 0 || is_missing() || errno == EISDIR, "O_TMPFILE");
    close(unnamed);
    int first = dup2(0, 60), second = dup3(0, 61, O_CLOEXEC), third = dup2(0, 62);
    EXPECT(first == 60 && second == 61 && third == 62 && fcntl(61, F_GETFD) == FD_CLOEXEC, "dup3 with O_CLOEXEC");
    EXPECT(dup3(0, 0, 0) == -1 && errno == EINVAL, "dup3 to itself");
    EXPECT((syscall(SYS_close_range, 62, 62, 4) == 0 && fcntl(62, F_GETFD) == FD_CLOEXEC) || is_missing() || errno == EINVAL, "close_range marks");
    EXPECT(syscall(SYS_close_range, 60, 62, 0) == 0 || is_missing(), "close_range");
    EXPECT((fcntl(60, F_GETFD) == -1 && fcntl(61, F_GETFD) == -1 && errno == EBADF) || fcntl(60, F_GETFD) >= 0, "closes all of them");
    EXPECT(syscall(SYS_close_range, 5, 3, 0) == -1 && (errno == EINVAL || errno == ENOSYS), "a range the wrong way round");
}

static void sealing(void) {
    int file = memfd_create("sealed", MFD_ALLOW_SEALING);
    EXPECT(ftruncate(file, 4096) == 0 && fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE) == 0, "seals");
    EXPECT(fcntl(file, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_WRITE), "are kept");
    EXPECT(write(file, "x", 1) == -1 && errno == EPERM && ftruncate(file, 0) == -1 && errno == EPERM, "and hold");
    EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED && errno == EPERM, "against mappings, too");
    close(file);
}

static void attributes(void) {
    char value[16] = "", names[64] = "";
    char path[96];
    snprintf(path, sizeof path, "%s/holes", directory_path);
    int file = open(path, O_RDWR);
    int set = setxattr(path, "user.check", "value", 5, XATTR_CREATE);
    EXPECT(set == 0 || is_missing(), "setxattr");
    if (set == 0) {
        EXPECT(getxattr(path, "user.check", value, 16) == 5 && !memcmp(value, "value", 5), "getxattr");
        EXPECT(fsetxattr(file, "user.check", "v", 1, XATTR_CREATE) == -1 && errno == EEXIST, "XATTR_CREATE");
        EXPECT(fgetxattr(file, "user.check", NULL, 0) == 5 && getxattr(path, "user.check", value, 2) == -1 && errno == ERANGE, "sizes");
        EXPECT(flistxattr(file, names, 64) >= 11 && memmem(names, 64, "user.check", 11), "listxattr");
        EXPECT(removexattr(path, "user.check") == 0 && fgetxattr(file, "user.check", value, 16) == -1 && errno == ENODATA, "removexattr");
    }
    struct statfs system;
    EXPECT(statfs(path, &system) == 0 && system.f_blocks >= system.f_bfree && system.f_frsize > 0, "statfs");
    struct statx wide;
    EXPECT(statx(file, "", AT_EMPTY_PATH | AT_STATX_SYNC_AS_STAT, STATX_ALL, &wide) == 0 && (wide.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS
               && wide.stx_size == 1 << 20 && S_ISREG(wide.stx_mode), "statx of a descriptor");
    EXPECT(fchmod(file, 0640) == 0 && fchown(file, -1, -1) == 0 && fstat(file, &(struct stat) { 0 }) == 0, "fchmod and fchown");
    close(file);
}

// As the kernel writes it, read without the C library.
struct entry {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
};

static void listing(void) {
    int list = openat(directory, ".", O_RDONLY | O_DIRECTORY), found = 0, wrong = 0;
    char buffer[512] __attribute__((aligned(8)));
    long count;
    while ((count = syscall(SYS_getdents64, list, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < count;) {
            struct entry *entry = (struct entry *)(buffer + at);
            found += !strcmp(entry->name, "holes") && entry->type == DT_REG;
            wrong += !strcmp(entry->name, ".") && entry->type != DT_DIR;
            at += entry->length;
        }
    EXPECT(count == 0 && found == 1 && wrong == 0, "getdents64");
    EXPECT(lseek(list, 0, SEEK_SET) == 0 && syscall(SYS_getdents64, list, buffer, 1) == -1 && errno == EINVAL, "its buffer must hold an entry");
    close(list);
}

static void watching(void) {
    int watcher = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int watch = inotify_add_watch(watcher, directory_path, IN_CREATE | IN_DELETE);
    EXPECT(watcher >= 0 && watch >= 1, "inotify");
    close(openat(directory, "new", O_WRONLY | O_CREAT, 0600));
    unlinkat(directory, "new", 0);
    char buffer[512] __attribute__((aligned(8)));
    ssize_t count = read(watcher, buffer, sizeof buffer);
    struct inotify_event *first = (struct inotify_event *)buffer, *second = (void *)(buffer + sizeof *first + first->len);
    EXPECT(count >= (ssize_t)(2 * sizeof *first) && first->wd == watch && first->mask == IN_CREATE && !strcmp(first->name, "new"), "a new file");
    EXPECT(second->mask == IN_DELETE, "and its end");
    EXPECT(inotify_rm_watch(watcher, watch) == 0 && read(watcher, buffer, sizeof buffer) > 0 && first->mask == IN_IGNORED, "no more");
    close(watcher);
}

static void terminals(void) {
    int main_side = posix_openpt(O_RDWR | O_NOCTTY);
    if (main_side < 0) return;
    char name[64];
    EXPECT(grantpt(main_side) == 0 && unlockpt(main_side) == 0 && ptsname_r(main_side, name, sizeof name) == 0, "a pseudo terminal");
    int side = open(name, O_RDWR | O_NOCTTY);
    struct termios modes;
    EXPECT(isatty(side) && tcgetattr(side, &modes) == 0 && (modes.c_lflag & ICANON) && modes.c_cc[VEOF] == 4, "its modes");
    cfmakeraw(&modes);
    cfsetspeed(&modes, B9600);
    struct termios seen;
    EXPECT(tcsetattr(side, TCSANOW, &modes) == 0 && tcgetattr(side, &seen) == 0 && !(seen.c_lflag & (ICANON | ECHO)) && cfgetospeed(&seen) == B9600, "are set");
    struct winsize size = { .ws_row = 33, .ws_col = 77 }, now = { 0 };
    EXPECT(ioctl(main_side, TIOCSWINSZ, &size) == 0 && ioctl(side, TIOCGWINSZ, &now) == 0 && now.ws_row == 33 && now.ws_col == 77, "its size");
    char buffer[8];
    EXPECT(write(main_side, "raw", 3) == 3 && read(side, buffer, 8) == 3 && !memcmp(buffer, "raw", 3), "input goes through");
    close(side), close(main_side);
}

// Many messages at once, with control data that carries a time or a sender.
static void messages(void) {
    int ends[2], on = 1;
    EXPECT(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0 && setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0, "a pair for datagrams");
    struct iovec parts[2] = { { (void *)"one", 3 }, { (void *)"three", 5 } };
    struct mmsghdr out[2] = { { .msg_hdr = { .msg_iov = parts, .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = parts + 1, .msg_iovlen = 1 } } };
    EXPECT(sendmmsg(ends[0], out, 2, 0) == 2 && out[1].msg_len == 5, "sendmmsg");
    char buffers[2][16], control[64] __attribute__((aligned(8)));
    struct iovec room[2] = { { buffers[0], 16 }, { buffers[1], 16 } };
    struct mmsghdr in[2] = {
        { .msg_hdr = { .msg_iov = room, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control } },
        { .msg_hdr = { .msg_iov = room + 1, .msg_iovlen = 1 } } };
    struct timespec limit = { 1, 0 };
    EXPECT(recvmmsg(ends[1], in, 2, 0, &limit) == 2 && in[0].msg_len == 3 && !memcmp(buffers[1], "three", 5), "recvmmsg");
    struct cmsghdr *header = CMSG_FIRSTHDR(&in[0].msg_hdr);
    struct ucred *sender = (struct ucred *)CMSG_DATA(header);
    EXPECT(header && header->cmsg_type == SCM_CREDENTIALS && header->cmsg_len == CMSG_LEN(sizeof *sender) && sender->pid == getpid(), "the sender");
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    EXPECT(getsockname(ends[0], (struct sockaddr *)&name, &size) == 0 && name.ss_family == AF_UNIX && size == 2, "an unnamed socket");
    EXPECT(shutdown(ends[0], 9) == -1 && errno == EINVAL, "shutdown checks its argument");
    close(ends[0]), close(ends[1]);
}

int main(void) {
    if (!mkdtemp(directory_path)) return 1;
    directory = open(directory_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    moving();
    positions();
    opening();
    sealing();
    attributes();
    listing();
    watching();
    terminals();
    messages();
    EXPECT(unlinkat(directory, "holes", 0) == 0 && rmdir(directory_path) == 0, "all is removed");
    return conclude();
}
