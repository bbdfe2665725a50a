// A machine's life: who starts and stops it, and what happens when the guest wants to end or restart. One thread conducts (`run`); the
// others ask.

import DeviceModel

/// How a run ended.
package enum MachineEnd: Equatable, Sendable {
    /// The guest powered off, with a code.
    case poweredOff(code: Int)
    /// The guest restarted, and was not to be restarted.
    case rebooted
    /// `stop` was called.
    case stopped
}

package final class MachineSession: @unchecked Sendable {
    package let board: Board
    /// Restart when the guest asks for it.
    package var restarts = true
    /// Who holds the machine (a debugger), while it does: called by the conductor, see `hold`.
    package weak var holder: MachineHolder?
    private enum Request { case guest(BoardEvent), pause, resume, reset, stop, hold, release(() -> Bool), between(() -> Void) }
    private let monitor = Monitor()
    // Guarded by `monitor`.
    private var requests: [Request] = []
    private var isRunning = false, isPausedNow = false, isHeldNow = false, hasEnded = false
    /// Requests served, for those who wait.
    private var served = 0, asked = 0

    /// Fills the board's memory; nothing runs yet.
    /// - Parameter startsPaused: nothing runs before `resume`.
    /// - Throws: `BootError`.
    package init(board: Board, startsPaused: Bool = false) throws {
        self.board = board
        isPausedNow = startsPaused
        try board.powerOn()
        board.onEvent = { [unowned self] in ask(.guest($0)) }
    }

    // MARK: From any thread

    @discardableResult
    private func ask(_ request: Request) -> Int {
        monitor.locked {
            requests.append(request)
            asked += 1
            monitor.wake()
            return asked
        }
    }

    private func askAndWait(_ request: Request) {
        let ticket = ask(request)
        monitor.locked { while served < ticket && !hasEnded { monitor.wait() } }
    }

    /// Ends the run from outside.
    package func stop() { ask(.stop) }
    /// The harts have stopped when this returns; devices go on.
    package func pause() { askAndWait(.pause) }
    package func resume() { askAndWait(.resume) }
    package func reset() { askAndWait(.reset) }
    package var isPaused: Bool { monitor.locked { isPausedNow || isHeldNow } }

    /// Stops the harts until `release`, whoever else resumes them. Returns at once; the holder is told when they stand still.
    func hold() { ask(.hold) }
    /// The same, and returns when they stand still.
    func holdAndWait() { askAndWait(.hold) }
    /// Ends a hold and any pause. The conductor calls `prepare` before; when that says false, the hold goes on, and the holder is told.
    func release(_ prepare: @escaping () -> Bool) { ask(.release(prepare)) }
    /// Has the conductor do something while no hart runs, and waits for that.
    func betweenInstructions(_ body: @escaping () -> Void) { askAndWait(.between(body)) }
    package var isHeld: Bool { monitor.locked { isHeldNow } }

    /// Does something with the harts while none of them runs. Not from a hart's thread.
    package func whilePaused<Result>(_ body: () throws -> Result) rethrows -> Result {
        let wasPaused = isPaused
        if !wasPaused { pause() }
        defer { if !wasPaused { resume() } }
        return try body()
    }

    // MARK: Conducting

    /// Runs, and returns when the machine has ended and everything that belongs to it has stopped.
    /// - Throws: `BackendError`, and `BootError` from a restart.
    package func run() throws -> MachineEnd {
        var result: MachineEnd?
        defer { finish(result) }
        if !isPaused { try start() }
        while true {
            let request = monitor.locked { () -> Request in
                while requests.isEmpty { monitor.wait() }
                return requests.removeFirst()
            }
            if let end = try serve(request) {
                result = end
                return end
            }
            monitor.locked {
                served += 1
                monitor.wake()
            }
        }
    }

    private func serve(_ request: Request) throws -> MachineEnd? {
        switch request {
        case .guest(.powerOff(let code)):
            halt()
            return .poweredOff(code: code)
        case .guest(.reboot):
            halt()
            if !restarts { return .rebooted }
            try restart()
        case .reset:
            halt()
            try restart()
        case .stop:
            halt()
            return .stopped
        case .pause:
            halt()
            monitor.locked { isPausedNow = true }
        case .resume:
            monitor.locked { isPausedNow = false }
            if !isPaused { try start() }
        case .hold:
            halt()
            monitor.locked { isHeldNow = true }
            holder?.machineStopped()
        case .release(let prepare):
            halt()
            if prepare() {
                monitor.locked { (isHeldNow, isPausedNow) = (false, false) }
                try start()
            } else if !isGuestWaiting {
                holder?.machineStopped()
            }
        case .between(let body):
            halt()
            body()
            if !isPaused { try start() }
        }
        return nil
    }

    /// The guest has asked for something that is served next.
    private var isGuestWaiting: Bool {
        monitor.locked {
            requests.contains {
                guard case .guest = $0 else { return false }
                return true
            }
        }
    }

    private func restart() throws {
        // What the guest asked for before it was stopped is void.
        monitor.locked {
            requests.removeAll {
                guard case .guest = $0 else { return false }
                served += 1
                return true
            }
        }
        try board.reset()
        holder?.machineRestarted()
        if !isPaused { try start() } else if isHeld { holder?.machineStopped() }
    }

    private func start() throws {
        guard !isRunning else { return }
        isRunning = true
        try board.processor.start()
    }

    private func halt() {
        guard isRunning else { return }
        board.processor.stop()
        board.processor.wait()
        isRunning = false
    }

    private func finish(_ end: MachineEnd?) {
        halt()
        board.shutDown()
        monitor.locked {
            hasEnded = true
            monitor.wake()
        }
        holder?.machineEnded(end)
    }
}

/// Who stops and resumes the machine beside those who pause it. Called on the conductor's thread.
package protocol MachineHolder: AnyObject {
    /// No hart runs, because of `hold` or `release`.
    func machineStopped()
    func machineRestarted()
    /// - Parameter end: nil when it could not go on.
    func machineEnded(_ end: MachineEnd?)
}
