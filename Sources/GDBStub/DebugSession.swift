// One debugger's conversation: bytes from it in, bytes for it out, a target in between. No sockets, no threads.
//
// All-stop: while the target runs, the debugger says nothing but the byte 3, and the next thing that is said to it is why the
// target stopped. GDB manual, appendix E.

/// What both sides have said that they understand, and that changes what is sent.
package struct SessionFeatures: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    static let softwareBreakpoints = SessionFeatures(rawValue: 1), hardwareBreakpoints = SessionFeatures(rawValue: 2)
    static let executions = SessionFeatures(rawValue: 4), nothingRuns = SessionFeatures(rawValue: 8)
    /// Packets are neither acknowledged nor sent again.
    static let noAcknowledgement = SessionFeatures(rawValue: 16)
}

package final class DebugSession {
    package let target: DebugTarget
    package internal(set) var features: SessionFeatures = []
    /// The target runs, and the debugger waits for the reason why it stops.
    package internal(set) var isRunning = false
    /// The debugger has left, or there is nothing left to debug: the connection is to be closed.
    package internal(set) var isOver = false
    /// The debugger wants the target ended, once the last answer is sent.
    package private(set) var endsTarget = false
    /// Bytes for the debugger; see `takeOutput`.
    private var output: [UInt8] = []
    private var decoder = PacketDecoder()
    private var lastPacket: [UInt8] = []

    /// The threads that `H` chose: for registers and memory, and for the packets `c` and `s`. Nil for any.
    var generalThread: DebugThreadID?
    var continueThread: DebugThreadID?
    var lastStop: DebugStop?
    /// Threads that `qfThreadInfo` has not told yet.
    var threadsToTell: [DebugThreadID] = []
    /// The object that is being transferred in parts.
    var transfer: (name: String, bytes: [UInt8])?
    var files = RemoteFiles()
    var passedSignals: Set<GDBSignal> = []
    var caughtSystemCalls = CaughtSystemCalls.none

    /// - Parameter stop: why the target stands still at first; nil while it runs.
    package init(target: DebugTarget, stop: DebugStop?) {
        self.target = target
        lastStop = stop
        isRunning = stop == nil
    }

    /// The bytes to send since the last call.
    package func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    // MARK: In

    /// Takes what came from the debugger.
    package func receive(_ bytes: some Sequence<UInt8>) {
        for event in decoder.decode(bytes) where !isOver {
            switch event {
            case .packet(let body):
                acknowledge("+")
                handle(body)
            case .damaged: acknowledge("-")
            case .rejected: if !features.contains(.noAcknowledgement) { output += lastPacket }
            case .acknowledged: break
            case .interrupt: if isRunning { target.interrupt() }
            }
        }
    }

    /// Takes what the target says. An event that nobody waits for is dropped.
    package func target(_ event: DebugEvent) {
        guard isRunning, !isOver else { return }
        switch event {
        case .stopped(let stop):
            isRunning = false
            lastStop = stop
            generalThread = stop.thread
            transfer = nil
            reply(stopReply(stop))
        case .nothingRuns:
            isRunning = false
            reply(features.contains(.nothingRuns) ? "N" : "T00")
        case .exited(let status):
            isOver = true
            reply("W" + twoDigits(status))
        case .killed(let signal):
            isOver = true
            reply("X" + twoDigits(signal.rawValue))
        case .message(let text): reply(Array("O".utf8) + Hexadecimal.encode(text.utf8))
        }
    }

    /// The debugger is gone without a word.
    package func connectionLost() {
        files.closeAll()
        guard !isOver else { return }
        isOver = true
        target.detach()
    }

    // MARK: Out

    func reply(_ body: [UInt8]) {
        lastPacket = PacketEncoder.packet(body, runs: true)
        output += lastPacket
    }

    func reply(_ text: String) { reply(Array(text.utf8)) }
    func replyOK() { reply("OK") }
    /// What the packet means is not known here.
    func replyUnsupported() { reply("") }

    /// - Parameter number: an errno, for people who read protocols; debuggers only see that it failed.
    func replyError(_ number: UInt8) { reply("E" + twoDigits(number)) }

    /// The packet makes no sense.
    func replyMalformed() { replyError(22) }

    func reply(_ success: Bool) { success ? replyOK() : replyError(14) }

    func twoDigits(_ value: UInt8) -> String { String(decoding: Hexadecimal.encode([value]), as: UTF8.self) }

    private func acknowledge(_ text: String) {
        if !features.contains(.noAcknowledgement) { output += Array(text.utf8) }
    }

    // MARK: Dispatch

    private func handle(_ body: [UInt8]) {
        var packet = PacketReader(body)
        guard let letter = packet.next() else { return replyUnsupported() }
        let letterOf = { (text: Character) in text.asciiValue! }
        if isRunning && letter != letterOf("k") {
            // Only a debugger that is out of step talks now.
            return letter == letterOf("q") || letter == letterOf("Q") ? queryWhileRunning(letter, packet) : replyError(16)
        }
        switch Character(UnicodeScalar(letter)) {
        case "?": replyStopReason()
        case "g": readRegisters()
        case "G": writeRegisters(packet)
        case "p": readRegister(&packet)
        case "P": writeRegister(&packet)
        case "m": readMemory(&packet, isBinary: false)
        case "x": readMemory(&packet, isBinary: true)
        case "M": writeMemory(&packet, isBinary: false)
        case "X": writeMemory(&packet, isBinary: true)
        case "Z": changePoint(&packet, inserting: true)
        case "z": changePoint(&packet, inserting: false)
        case "H": chooseThread(&packet)
        case "T": askThread(&packet)
        case "c", "s", "C", "S": resumeOldStyle(letter, &packet)
        case "v": handleVerb(&packet)
        case "q": query(&packet)
        case "Q": set(&packet)
        case "D":
            target.detach()
            isOver = true
            replyOK()
        case "k":
            isOver = true
            endsTarget = true
        default: replyUnsupported()
        }
    }

    private func handleVerb(_ packet: inout PacketReader) {
        if packet.skip("Cont?") { return reply("vCont;c;C;s;S;t;r") }
        if packet.skip("Cont;") { return resume(&packet) }
        if packet.skip("File:") { return handleFile(&packet) }
        if packet.skip("Kill;") {
            isOver = true
            endsTarget = true
            return replyOK()
        }
        replyUnsupported()
    }
}
