import Glibc
import Testing

@testable import LinuxUser

/// Lines as strace(1) prints them, except for addresses.
@Suite struct SystemCallStraceTests {
    private let table = SystemCallTable.riscv64()

    init() { GuardedCopies.prepare() }

    private func line(_ number: Int, _ words: [UInt64], result: Int64?) -> String {
        var arguments = SystemCallArguments(number: number)
        for (index, word) in words.enumerated() { arguments[index] = word }
        return Strace.line(table[number], arguments, result: result)
    }

    private func withAddress<R>(_ bytes: [UInt8], _ body: (UInt64) -> R) -> R {
        bytes.withUnsafeBytes { body(UInt64(UInt(bitPattern: $0.baseAddress!))) }
    }

    private func withText<R>(_ text: String, _ body: (UInt64) -> R) -> R { withAddress(Array(text.utf8) + [0], body) }

    private func words(_ values: [UInt64]) -> [UInt8] {
        values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }
    }

    @Test func open() {
        withText("/etc/passwd") { path in
            #expect(line(56, [UInt64(bitPattern: -100), path, 0o2000000], result: 3)
                == "openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3")
            #expect(line(56, [5, path, 0o1101, 0o644], result: -2)
                == "openat(5, \"/etc/passwd\", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 ENOENT (No such file or directory)")
        }
    }

    @Test func resultStandsInItsColumn() {
        #expect(line(57, [3], result: 0) == "close(3)                                = 0")
        #expect(line(57, [3], result: -9) == "close(3)                                = -1 EBADF (Bad file descriptor)")
        #expect(line(172, [], result: 42) == "getpid()                                = 42")
    }

    @Test func stringsAreCutOff() {
        withText("hello\n") {
            #expect(line(64, [1, $0, 6], result: 6) == #"write(1, "hello\n", 6)                  = 6"#)
        }
        withText(String(repeating: "x", count: 40)) {
            #expect(line(64, [1, $0, 40], result: 40)
                == "write(1, \"\(String(repeating: "x", count: 32))\"..., 40) = 40")
            #expect(line(63, [0, $0, 100], result: 3) == "read(0, \"xxx\", 100)                     = 3")
        }
    }

    @Test func escapes() {
        #expect(Strace.quoted([0x7f, 0x45, 0x4c, 0x46, 0]) == #""\177ELF\0""#)
        #expect(Strace.quoted([0, 0x31, 9, 0x22, 0x5c]) == #""\0001\t\"\\""#)
    }

    @Test func badPointersAreAddresses() {
        #expect(line(64, [1, 16, 6], result: -14) == "write(1, 0x10, 6)                       = -1 EFAULT (Bad address)")
        #expect(line(49, [0], result: -14) == "chdir(NULL)                             = -1 EFAULT (Bad address)")
    }

    @Test func unknownCall() {
        #expect(
            line(400, [1, 2], result: -38) == "syscall_0x190(0x1, 0x2, 0, 0, 0, 0)     = -1 ENOSYS (Function not implemented)")
    }

    @Test func structures() {
        withAddress(words([1, 500])) {
            #expect(line(101, [$0, 0], result: 0) == "nanosleep({tv_sec=1, tv_nsec=500}, NULL) = 0")
        }
        withAddress([3, 0, 0, 0, 4, 0, 0, 0]) {
            #expect(line(59, [$0, 0o2000000], result: 0) == "pipe2([3, 4], O_CLOEXEC)                = 0")
        }
        withAddress([2, 0, 0x1f, 0x90, 127, 0, 0, 1] + [UInt8](repeating: 0, count: 8)) {
            #expect(line(203, [3, $0, 16], result: 0)
                == "connect(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0")
        }
    }

    @Test func fileControl() {
        #expect(line(25, [3, 3, 0], result: 2) == "fcntl(3, F_GETFL)                       = 2")
        #expect(line(25, [3, 2, 1], result: 0) == "fcntl(3, F_SETFD, FD_CLOEXEC)           = 0")
        #expect(line(25, [3, 4, 0x802], result: 0) == "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK)    = 0")
        #expect(line(25, [3, 1030, 10], result: 10) == "fcntl(3, F_DUPFD_CLOEXEC, 10)           = 10")
    }

    @Test func flags() {
        #expect(line(198, [2, 1 | 0o2000000, 6], result: 3) == "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 6) = 3")
        #expect(StraceNames.text(.mapping, 0x22) == "MAP_PRIVATE|MAP_ANONYMOUS")
        #expect(StraceNames.text(.protection, 0) == "PROT_NONE")
        #expect(StraceNames.text(.protection, 3) == "PROT_READ|PROT_WRITE")
        #expect(StraceNames.text(.clone, 0x11) == "SIGCHLD")
        #expect(StraceNames.text(.clone, 0x0120_0011) == "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD")
        #expect(StraceNames.text(.futex, 0x80) == "FUTEX_WAIT|FUTEX_PRIVATE_FLAG")
        #expect(StraceNames.text(.open, 0x8000_0000) == "O_RDONLY|0x80000000")
    }

    @Test func signals() {
        #expect(StraceNames.signal(2) == "SIGINT" && StraceNames.signal(34) == "SIGRT_2")
        #expect(StraceNames.signalSet(1 << 1 | 1 << 14) == "[INT TERM]")
        #expect(StraceNames.signalSet(~(1 << 8)) == "~[KILL]")
        #expect(Strace.waitStatus(0x100) == "{WIFEXITED(s) && WEXITSTATUS(s) == 1}")
        #expect(Strace.waitStatus(0x8b) == "{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}")
    }

    @Test func filters() {
        let openat = table[56], write = table[64], unknown: SystemCallRow? = nil
        #expect(Strace.Filter(nil).shows(openat) && Strace.Filter("all").shows(unknown))
        let named = Strace.Filter("openat,read")
        #expect(named.shows(openat) && !named.shows(write) && !named.shows(unknown))
        let files = Strace.Filter("%file")
        #expect(files.shows(openat) && !files.shows(write))
        let others = Strace.Filter("!write")
        #expect(others.shows(openat) && !others.shows(write) && others.shows(unknown))
        #expect(Strace.Filter("network").shows(table[198]) && Strace.Filter("memory").shows(table[222] ?? table[239]))
    }
}
