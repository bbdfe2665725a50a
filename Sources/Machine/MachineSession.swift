// A machine's life: who starts and stops it, and what happens when the guest wants to end or restart. One thread conducts
// (`run`); the others ask.

import DeviceModel

/// How a run ended.
package enum MachineEnd: Equatable, Sendable {
    /// The guest powered off, with a code.
    case poweredOff(code: Int)
    /// The guest restarted, and was not to be restarted.
    case rebooted
    /// `stop` was called.
    case stopped
    /// The same, and the machine was saved.
    case saved
}

package final class MachineSession: @unchecked Sendable {
    package let board: Board
    /// Restart when the guest asks for it.
    package var restarts = true
    /// Who holds the machine (a debugger), while it does: called by the conductor, see `hold`.
    package weak var holder: MachineHolder?
    private enum Request {
        case guest(BoardEvent), pause, resume, reset, stop(savingTo: String?), hold, release(() -> Bool)
        /// Something to do while no hart runs.
        case between(() -> Void)
    }
    private let monitor = Monitor()
    // Guarded by `monitor`.
    private var requests: [(ticket: Int, request: Request)] = []
    private var isRunning = false, isPausedNow = false, isHeldNow = false, hasEnded = false
    /// The last ticket that was given, and the last whose request was served: they are served in their order.
    private var asked = 0, served = 0
    private var saveTimer: DeviceTimer?
    /// What the user should know of a machine that was loaded.
    package private(set) var notes: [String] = []

    /// Fills the board's memory; nothing runs yet.
    /// - Parameters:
    ///   - startsPaused: nothing runs before `resume`.
    ///   - path: a saved machine to go on with.
    /// - Throws: `BootError`.
    package init(board: Board, startsPaused: Bool = false, loading path: String? = nil) throws {
        self.board = board
        isPausedNow = startsPaused
        if let path { notes = try board.load(from: path) } else { try board.powerOn() }
        board.onEvent = { [unowned self] in ask(.guest($0)) }
    }

    // MARK: From any thread

    @discardableResult
    private func ask(_ request: Request) -> Int {
        monitor.locked {
            asked += 1
            requests.append((asked, request))
            monitor.wake()
            return asked
        }
    }

    private func askAndWait(_ request: Request) {
        let ticket = ask(request)
        monitor.locked { while served < ticket && !hasEnded { monitor.wait() } }
    }

    /// Ends the run from outside.
    package func stop() { ask(.stop(savingTo: nil)) }

    /// The same, after saving the machine. Also from a hart's thread.
    package func stop(savingTo path: String) {
        // At once, so that deterministic runs end at the same place every time.
        board.processor.pause()
        ask(.stop(savingTo: path))
    }

    /// Calls `stop(savingTo:)` when the machine's time has come to `ticks`. Before `run`.
    package func stop(at ticks: UInt64, savingTo path: String, _ isDue: @escaping () -> Void) {
        let timer = board.processor.timers.makeTimer { [unowned self] in
            isDue()
            stop(savingTo: path)
        }
        timer.set(ticks)
        saveTimer = timer
    }

    /// Saves the machine, which then goes on. Not from a hart's thread.
    /// - Throws: `BootError`, `BackendError`.
    package func save(to path: String) throws {
        try whileHalted { [self] board in
            // The file would hold a guest that waits for its end.
            if nextGuestRequest != nil {
                throw BootError.notBootable("the guest has just powered off or restarted: nothing was saved")
            }
            try board.save(to: path)
        }
    }

    /// Has the machine go on from a file.
    /// - Returns: what the user should know.
    /// - Throws: `BootError`.
    package func load(from path: String) throws -> [String] {
        try whileHalted { [self] board in
            let notes = try board.load(from: path)
            forgetGuestRequests()
            return notes
        }
    }

    /// Does something on the conductor's thread, between stopping the harts and letting them go on.
    private func whileHalted<Value>(_ body: @escaping (Board) throws -> Value) throws -> Value {
        var result: Result<Value, Error>?
        askAndWait(.between { [board] in result = Result { try body(board) } })
        guard let result else { throw BootError.notBootable("the machine has ended") }
        return try result.get()
    }

    /// The harts have stopped when this returns; devices go on.
    package func pause() { askAndWait(.pause) }
    package func resume() { askAndWait(.resume) }
    package func reset() { askAndWait(.reset) }
    package var isPaused: Bool { monitor.locked { isPausedNow || isHeldNow } }

    /// Stops the harts until `release`, whoever else resumes them. Returns at once; the holder is told when they stand still.
    func hold() { ask(.hold) }
    /// The same, and returns when they stand still.
    func holdAndWait() { askAndWait(.hold) }
    /// Ends a hold and any pause. The conductor calls `prepare` before; when that says false, the hold goes on, and the holder is
    /// told.
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
            let (ticket, request) = monitor.locked { () -> (Int, Request) in
                while requests.isEmpty { monitor.wait() }
                return requests.removeFirst()
            }
            if let end = try serve(request) {
                result = end
                return end
            }
            monitor.locked {
                served = ticket
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
        case .stop(let path):
            halt(isExact: path != nil)
            guard let path else { return .stopped }
            // What the guest asked for just before is not in its memory any more, so it comes first.
            if let request = nextGuestRequest { return try serve(request) ?? .rebooted }
            try board.save(to: path, isEnd: true)
            return .saved
        case .pause:
            halt(isExact: true)
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
            halt(isExact: true)
            body()
            if !isPaused { try start() }
        }
        return nil
    }

    /// The guest has asked for something that is served next.
    private var isGuestWaiting: Bool { nextGuestRequest != nil }

    private func restart() throws {
        forgetGuestRequests()
        try board.reset()
        holder?.machineRestarted()
        if !isPaused { try start() } else if isHeld { holder?.machineStopped() }
    }

    /// What the guest has asked for and was not done.
    private var nextGuestRequest: Request? {
        monitor.locked {
            requests.first {
                guard case .guest = $0.request else { return false }
                return true
            }?.request
        }
    }

    /// What the guest asked for before it was stopped is void.
    private func forgetGuestRequests() {
        monitor.locked {
            requests.removeAll {
                guard case .guest = $0.request else { return false }
                return true
            }
        }
    }

    private func start() throws {
        guard !isRunning else { return }
        isRunning = true
        try board.processor.start()
    }

    /// - Parameter isExact: where the run can go on as if it had not been stopped.
    private func halt(isExact: Bool = false) {
        guard isRunning else { return }
        if isExact { board.processor.pause() } else { board.processor.stop() }
        board.processor.wait()
        isRunning = false
    }

    private func finish(_ end: MachineEnd?) {
        halt()
        board.processor.engine.endOwnThread()
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
