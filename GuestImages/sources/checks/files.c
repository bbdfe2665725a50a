// Files and directories: every field of stat, positions, links, listings, vectors, locks.
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static void contents(int directory) {
    int file = openat(directory, "data", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    EXPECT(file >= 0, "openat creates a file");
    EXPECT(openat(directory, "data", O_RDWR | O_CREAT | O_EXCL, 0640) == -1 && errno == EEXIST, "O_EXCL refuses a second time");
    EXPECT(write(file, "0123456789", 10) == 10 && lseek(file, 0, SEEK_CUR) == 10, "write moves the position");
    EXPECT(lseek(file, -3, SEEK_END) == 7 && lseek(file, 100, SEEK_SET) == 100 && lseek(file, -101, SEEK_CUR) == -1 && errno == EINVAL, "lseek in its three ways");
    char buffer[64] = {0};
    EXPECT(pread(file, buffer, 4, 2) == 4 && !memcmp(buffer, "2345", 4) && lseek(file, 0, SEEK_CUR) == 100, "pread leaves the position");
    EXPECT(pwrite(file, "ab", 2, 5) == 2 && pread(file, buffer, 64, 0) == 10 && !memcmp(buffer, "01234ab789", 10), "pwrite");
    char first[3], second[20];
    struct iovec parts[2] = {{first, 3}, {second, 20}};
    lseek(file, 0, SEEK_SET);
    EXPECT(readv(file, parts, 2) == 10 && !memcmp(first, "012", 3) && !memcmp(second, "34ab789", 7), "readv");
    struct iovec out[3] = {{"xx", 2}, {"", 0}, {"yyy", 3}};
    EXPECT(writev(file, out, 3) == 5 && preadv(file, parts, 1, 10) == 3 && !memcmp(first, "xxy", 3), "writev and preadv");
    EXPECT(ftruncate(file, 4096) == 0 && pread(file, buffer, 4, 4000) == 4 && !buffer[0] && !buffer[3], "ftruncate grows with zeros");
    EXPECT(ftruncate(file, 5) == 0 && pread(file, buffer, 64, 0) == 5, "ftruncate cuts");
    EXPECT(read(file, NULL, 0) == 0 && read(99, buffer, 1) == -1 && errno == EBADF, "a bad descriptor");
    lseek(file, 0, SEEK_SET);
    EXPECT(syscall(SYS_read, file, (void *)8, 1) == -1 && errno == EFAULT, "a bad buffer gives EFAULT");
    int copy = dup(file);
    EXPECT(lseek(copy, 3, SEEK_SET) == 3 && lseek(file, 0, SEEK_CUR) == 3, "duplicates share the position");
    EXPECT(fcntl(file, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == 0, "close-on-exec belongs to the descriptor");
    EXPECT((fcntl(file, F_GETFL) & O_ACCMODE) == O_RDWR && fcntl(file, F_SETFL, O_APPEND | O_NONBLOCK) == 0, "F_SETFL");
    EXPECT((fcntl(copy, F_GETFL) & (O_APPEND | O_NONBLOCK)) == (O_APPEND | O_NONBLOCK), "status flags belong to the open file");
    EXPECT(fcntl(file, F_DUPFD, 40) == 40 && close(40) == 0, "F_DUPFD chooses the lowest number from there");
    EXPECT(fsync(file) == 0 && fdatasync(file) == 0, "fsync");
    close(copy), close(file);
}

static void attributes(int directory) {
    struct stat seen, again;
    EXPECT(fstatat(directory, "data", &seen, 0) == 0 && S_ISREG(seen.st_mode) && (seen.st_mode & 0777) == 0640, "stat tells type and mode");
    EXPECT(seen.st_size == 5 && seen.st_nlink == 1 && seen.st_uid == geteuid() && seen.st_blksize > 0, "size, links, owner, block size");
    EXPECT(fchmodat(directory, "data", 0604, 0) == 0 && fstatat(directory, "data", &seen, 0) == 0 && (seen.st_mode & 0777) == 0604, "chmod");
    struct timespec times[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
    EXPECT(utimensat(directory, "data", times, 0) == 0 && fstatat(directory, "data", &seen, 0) == 0, "utimensat");
    EXPECT(seen.st_atim.tv_sec == 1000000000 && seen.st_mtim.tv_sec == 1100000000 && seen.st_mtim.tv_nsec == 987654321, "times with nanoseconds");
    int file = openat(directory, "data", O_RDONLY);
    EXPECT(fstat(file, &again) == 0 && again.st_ino == seen.st_ino && again.st_dev == seen.st_dev, "fstat names the same file");
    close(file);
    struct statx wide;
    EXPECT(statx(directory, "data", 0, STATX_BASIC_STATS, &wide) == 0 && wide.stx_size == 5 && wide.stx_ino == seen.st_ino, "statx");
    struct statfs system;
    EXPECT(fstatfs(directory, &system) == 0 && system.f_bsize > 0 && system.f_namelen >= 32, "statfs");
    EXPECT(faccessat(directory, "data", R_OK, 0) == 0 && faccessat(directory, "none", F_OK, 0) == -1 && errno == ENOENT, "access");
    EXPECT(stat("/dev/null", &seen) == 0 && S_ISCHR(seen.st_mode) && seen.st_rdev == 0x103, "a device has its number");
}

static void names(int directory) {
    struct stat seen;
    char target[32] = {0};
    EXPECT(linkat(directory, "data", directory, "twin", 0) == 0 && fstatat(directory, "twin", &seen, 0) == 0 && seen.st_nlink == 2, "a hard link");
    EXPECT(symlinkat("data", directory, "pointer") == 0 && readlinkat(directory, "pointer", target, 32) == 4 && !strcmp(target, "data"), "a symbolic link");
    EXPECT(fstatat(directory, "pointer", &seen, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(seen.st_mode) && seen.st_size == 4, "it is seen with NOFOLLOW");
    EXPECT(openat(directory, "pointer", O_RDONLY | O_NOFOLLOW) == -1 && errno == ELOOP, "O_NOFOLLOW refuses it");
    EXPECT(renameat(directory, "twin", directory, "other") == 0 && faccessat(directory, "twin", F_OK, 0) == -1, "rename");
    EXPECT(mkdirat(directory, "sub", 0755) == 0 && mkdirat(directory, "sub", 0755) == -1 && errno == EEXIST, "mkdir");
    EXPECT(renameat(directory, "other", directory, "sub/moved") == 0, "rename into a directory");
    EXPECT(unlinkat(directory, "sub", AT_REMOVEDIR) == -1 && errno == ENOTEMPTY, "a directory must be empty to go");
    EXPECT(openat(directory, "sub", O_WRONLY) == -1 && errno == EISDIR, "a directory is not opened for writing");
    EXPECT(openat(directory, "data/x", O_RDONLY) == -1 && errno == ENOTDIR, "a file is not a directory");
    EXPECT(mkfifoat(directory, "fifo", 0600) == 0 && fstatat(directory, "fifo", &seen, 0) == 0 && S_ISFIFO(seen.st_mode), "a fifo");
}

static void listing(int directory) {
    char name[16];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "entry-%03d", i);
        close(openat(directory, name, O_WRONLY | O_CREAT, 0600));
    }
    DIR *stream = fdopendir(dup(directory));
    int entries = 0, files = 0, directories = 0, links = 0, dots = 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
        entries += !strncmp(entry->d_name, "entry-", 6) && strlen(entry->d_name) == 9;
        dots += entry->d_name[0] == '.';
        files += entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN;
        directories += entry->d_type == DT_DIR;
        links += entry->d_type == DT_LNK;
    }
    EXPECT(entries == 300 && dots == 2 && files >= 301, "readdir lists every file once");
    EXPECT(directories == 3 && links == 1, "with the types");
    rewinddir(stream);
    int removed = 0;
    for (struct dirent *entry; (entry = readdir(stream));)
        if (entry->d_name[0] != '.' && entry->d_type != DT_DIR) removed += unlinkat(directory, entry->d_name, 0) == 0;
    EXPECT(removed == 303, "and all of them are removed");
    closedir(stream);
}

static void locks(int directory) {
    int file = openat(directory, "lock", O_RDWR | O_CREAT, 0600);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};
    EXPECT(fcntl(file, F_SETLK, &lock) == 0, "a record lock");
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        struct flock mine = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 12, .l_len = 1};
        int refused = fcntl(file, F_SETLK, &mine) == -1 && (errno == EAGAIN || errno == EACCES);
        int told = fcntl(file, F_GETLK, &mine) == 0 && mine.l_type == F_WRLCK && mine.l_start == 10 && mine.l_len == 5 && mine.l_pid == parent;
        int second = openat(directory, "lock", O_RDWR);
        int refused_whole = flock(second, LOCK_EX | LOCK_NB) == 0;
        _exit(refused * 1 + told * 2 + refused_whole * 4);
    }
    int status;
    waitpid(child, &status, 0);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7, "another process sees it and is refused");
    close(file);
    unlinkat(directory, "lock", 0);
}

int main(void) {
    char path[] = "/tmp/check-files-XXXXXX";
    umask(022);
    EXPECT(mkdtemp(path) == path, "a directory of its own");
    int directory = open(path, O_RDONLY | O_DIRECTORY);
    contents(directory);
    attributes(directory);
    names(directory);
    listing(directory);
    locks(directory);
    EXPECT(unlinkat(directory, "sub/moved", 0) == 0 && unlinkat(directory, "sub", AT_REMOVEDIR) == 0, "the last entries go");
    close(directory);
    EXPECT(rmdir(path) == 0, "and the directory");
    int available = -1, ends[2];
    EXPECT(pipe(ends) == 0 && write(ends[1], "abc", 3) == 3 && ioctl(ends[0], FIONREAD, &available) == 0 && available == 3, "FIONREAD");
    int random = open("/dev/urandom", O_RDONLY);
    uint64_t words[2] = {0, 0};
    EXPECT(read(random, words, sizeof words) == sizeof words && words[0] != words[1], "/dev/urandom");
    return conclude();
}
