// Runs another program and measures it: output, status, processor time of exactly that child (wait4).

import Glibc

/// How a child ended and what it took.
struct ChildResult {
    /// Exit status, or 128 + the signal, as a shell says it.
    var status: Int32
    var output: [UInt8]
    var errorText: String
    /// User and system time, with that of the child's own children.
    var processorSeconds: Double
    var wallSeconds: Double
    var peakMemoryKibibytes: Int
}

enum ChildProcess {
    /// Runs `command` with standard input empty and waits for it.
    /// - Parameter timeLimit: seconds after which the child is killed.
    /// - Throws: `CommandFailure` when it cannot be started.
    static func run(_ command: [String], timeLimit: Double? = nil) throws -> ChildResult {
        // Files, not pipes: nobody needs to read while the child is being measured.
        let output = try temporaryFile(), errors = try temporaryFile()
        defer { close(output); close(errors) }
        let start = monotonicSeconds()
        let process = try spawn(command, output: output, errors: errors)
        var status: Int32 = 0
        var usage = rusage()
        if let timeLimit { kill(process, after: start + timeLimit) }
        while wait4(process, &status, 0, &usage) < 0 && errno == EINTR {}
        let wall = monotonicSeconds() - start
        return ChildResult(
            status: status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f),
            output: contents(output), errorText: String(decoding: contents(errors), as: UTF8.self),
            processorSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime), wallSeconds: wall,
            peakMemoryKibibytes: usage.ru_maxrss)
    }

    /// Waits until the child has ended, and ends it when that takes too long; leaves it to be reaped.
    private static func kill(_ process: pid_t, after end: Double) {
        var information = siginfo_t()
        while waitid(P_PID, id_t(process), &information, WEXITED | WNOHANG | WNOWAIT) == 0 {
            // The first field is si_signo: zero while the child runs.
            if information.si_signo != 0 { return }
            if monotonicSeconds() > end {
                Glibc.kill(process, SIGKILL)
                return
            }
            usleep(2000)
        }
    }

    private static func spawn(_ command: [String], output: Int32, errors: Int32) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO)
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        var process: pid_t = 0
        let error = posix_spawnp(&process, command[0], &actions, nil, &arguments, environ)
        guard error == 0 else {
            throw CommandFailure(status: ExitStatus.failed, "cannot start '\(command[0])': \(String(cString: strerror(error)))")
        }
        return process
    }

    private static func temporaryFile() throws -> Int32 {
        let directory = TemporaryDirectory.parent
        var path = Array("\(directory)/mynah-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        guard descriptor >= 0 else {
            throw CommandFailure(
                status: ExitStatus.failed,
                "cannot create a file in '\(directory)': \(String(cString: strerror(errno))); set TMPDIR")
        }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        unlink(path)
        return descriptor
    }

    private static func contents(_ descriptor: Int32) -> [UInt8] {
        lseek(descriptor, 0, SEEK_SET)
        return Files.readAll(descriptor)
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
}

func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
