// One run of a machine on this process's terminal: threads for keys, signals and the time limit around the machine, which runs on
// the calling one.

import Glibc
import Mynah

final class BootRun: @unchecked Sendable {
    private let settings: BootSettings
    private var machine: VirtualMachine!
    private var matcher: TextMatcher?
    private var keys: ConsoleKeys
    private let isTerminal = isatty(STDIN_FILENO) == 1
    /// Why the machine was stopped from here, the first reason. Written once, before `stop`.
    private enum Reason { case quit, signal(Int32), timeout, expected, saveTime }
    private var reason: Reason?
    private let lock: UnsafeMutablePointer<pthread_mutex_t>

    /// - Throws: `ProgramError` when the machine cannot be made.
    init(_ settings: BootSettings) throws {
        self.settings = settings
        matcher = settings.expected.map(TextMatcher.init)
        keys = ConsoleKeys(hasEscapeKey: isTerminal && settings.hasEscapeKey)
        // SAFETY: lives as long as the process, as threads may still hold it at the end.
        lock = .allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
        // Before anything has threads, so that all of them leave signals to `watchSignals`.
        HostTerminal.blockSignals()
        startThread { $0.watchSignals() }
        let machine = try VirtualMachine(settings.options) { [self] in show($0) }
        locked { self.machine = machine }
    }

    /// - Returns: the exit status.
    func run() throws -> Int32 {
        for text in machine.notes { Console.writeError("mynah: note: \(text)\n") }
        if let address = machine.debuggerAddress {
            let what = settings.options.startsPaused ? "waiting for gdb" : "gdb can connect"
            Console.writeError("mynah: \(what): target remote \(address)\n")
        }
        if settings.timeout != nil { startThread { $0.watchTime() } }
        if settings.hasConsoleInput {
            if isTerminal { HostTerminal.makeRaw() }
            startThread { $0.readKeys() }
        }
        if let path = settings.savePath, let seconds = settings.saveTime {
            machine.stop(at: seconds, savingTo: path) { [self] in note(.saveTime) }
        }
        let result = Result { try machine.run() }
        HostTerminal.restore()
        let end = try result.get()
        report()
        reportSaving(end)
        return status(for: end)
    }

    private func status(for end: VirtualMachineEnd) -> Int32 {
        switch (end, stopReason) {
        case (.poweredOff, .saveTime), (.rebooted, .saveTime): return ExitStatus.failed
        case (_, .expected), (_, .saveTime): return ExitStatus.success
        case (_, .timeout):
            let what = settings.expected.map { "'\($0)' was not shown" } ?? "the machine did not end"
            Console.writeError("mynah: \(what) within \(settings.timeout ?? 0) s\n")
            return ExitStatus.timeout
        case (_, .signal(let number)): HostTerminal.die(bySignal: number)
        case (_, .quit): return ExitStatus.success
        case (.poweredOff(let code), nil):
            if settings.saveTime != nil, code == 0 { return ExitStatus.failed }
            if code == 0, let text = settings.expected { return notShown(text) }
            // The board's register has room for more than a status has.
            return code == 0 ? 0 : max(1, Int32(code & 0xff))
        case (.rebooted, nil), (.stopped, nil), (.saved, nil):
            if let text = settings.expected { return notShown(text) }
            return ExitStatus.success
        }
    }

    private func notShown(_ text: String) -> Int32 {
        Console.writeError("mynah: the machine ended, and '\(text)' was not shown\n")
        return ExitStatus.failed
    }

    private func report() {
        switch settings.statistics {
        case .text: OwnOutput.append(machine.statistics.text, to: settings.outputPath)
        case .json: OwnOutput.append(machine.statistics.json.text() + "\n", to: settings.outputPath)
        case nil: break
        }
    }

    // MARK: Stopping

    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    private func note(_ newReason: Reason) { locked { if reason == nil { reason = newReason } } }

    private func stop(_ newReason: Reason) {
        note(newReason)
        if let path = settings.savePath { machine.stop(savingTo: path) } else { machine.stop() }
    }

    /// What became of `--save`.
    private func reportSaving(_ end: VirtualMachineEnd) {
        guard let path = settings.savePath else { return }
        if end == .saved {
            Console.writeError("mynah: the machine was saved; it goes on with --load '\(path)'\n")
        } else if settings.saveTime != nil {
            Console.writeError("mynah: the machine ended before it was to be saved\n")
        }
    }

    private var stopReason: Reason? { locked { reason } }

    private func watchSignals() {
        let first = HostTerminal.waitForSignal()
        // Reading large files, and loading a machine, takes a while: then there is nothing to stop or to save.
        guard locked({ machine != nil }) else { HostTerminal.die(bySignal: first) }
        stop(.signal(first))
        let start = time(nil)
        // Who asks twice does not want to wait. But timeout(1) sends its signal twice, which is no reason to lose a machine.
        while true {
            let number = HostTerminal.waitForSignal()
            if settings.savePath == nil || time(nil) > start + 1 { HostTerminal.die(bySignal: number) }
        }
    }

    private func watchTime() {
        var left = settings.timeout ?? 0
        while left > 0 {
            let part = min(left, 1000)
            usleep(UInt32(part * 1e6))
            left -= part
        }
        stop(.timeout)
    }

    // MARK: Console

    /// What the guest writes. One thread at a time.
    private func show(_ bytes: UnsafeRawBufferPointer) {
        writeAll(bytes, to: STDOUT_FILENO)
        if matcher?.feed(bytes) == true, stopReason == nil { stop(.expected) }
    }

    /// Waits for a slow reader, but not beyond the end of the run.
    private func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            if poll(&room, 1, 200) == 0 {
                if stopReason != nil { return }
                continue
            }
            // No more than a pipe that has room takes without waiting.
            let part = rest.prefix(4096)
            let count = write(descriptor, UnsafeRawBufferPointer(rebasing: part).baseAddress!, part.count)
            if count < 0 && (errno == EINTR || errno == EAGAIN) { continue }
            // Nobody reads any more.
            if count < 0 && errno == EPIPE && stopReason == nil { stop(.signal(SIGPIPE)) }
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }

    private func readKeys() {
        if settings.options.startsPaused && isTerminal && settings.options.debugger == nil {
            Console.writeError("mynah: paused; Ctrl-A c, then 'cont', lets it go on\n")
        }
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(STDIN_FILENO, &buffer, buffer.count)
            if count < 0 && (errno == EINTR || errno == EAGAIN) {
                if errno == EAGAIN { usleep(10000) }
                continue
            }
            // The end of a pipe is no reason to end the machine: its output may be all that is wanted.
            if count <= 0 { return }
            for action in keys.actions(for: buffer[..<count]) { perform(action) }
        }
    }

    private func perform(_ action: ConsoleAction) {
        switch action {
        case .send(let bytes): machine.send(bytes)
        case .quit: stop(.quit)
        case .reset: machine.reset()
        case .toggleMonitor:
            Console.writeError(keys.isMonitorOpen ? "\nMynah \(mynahVersion) monitor: 'help' lists the commands\n(mynah) " : "\n")
        case .help:
            Console.writeError(
                "\nCtrl-A x ends the machine\nCtrl-A c opens and closes the monitor\nCtrl-A r resets\nCtrl-A Ctrl-A sends "
                    + "Ctrl-A\n")
        case .echo(let text): Console.writeError(text)
        case .command(let line):
            if ["quit", "q"].contains(line.filter { $0 != " " }) { return stop(.quit) }
            Console.writeError(machine.monitor(line) + "(mynah) ")
        }
    }

    private func startThread(_ body: @escaping (BootRun) -> Void) {
        let box = Unmanaged.passRetained(ThreadBody { [self] in body(self) })
        var thread = pthread_t()
        let status = pthread_create(&thread, nil, { context in
            Unmanaged<ThreadBody>.fromOpaque(context!).takeRetainedValue().run()
            return nil
        }, box.toOpaque())
        if status == 0 { pthread_detach(thread) } else { box.release() }
    }
}

private final class ThreadBody {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
}
