// Going on, and why the target stopped: `vCont`, `c`, `s`, `C`, `S`, `?` and stop replies. GDB manual E.2, E.3.

extension DebugSession {
    /// The thread that packets without a thread are about.
    var currentThread: DebugThreadID? {
        let threads = target.threads
        if let generalThread, threads.contains(generalThread) { return generalThread }
        if let last = lastStop?.thread, threads.contains(last) { return last }
        return threads.first
    }

    func replyStopReason() {
        guard let lastStop else { return reply("W00") }
        generalThread = lastStop.thread
        reply(stopReply(lastStop))
    }

    func stopReply(_ stop: DebugStop) -> String {
        var text = "T" + twoDigits(stop.signal.rawValue) + "thread:\(Hexadecimal.text(stop.thread.rawValue));"
        switch stop.cause {
        case .none: break
        case .softwareBreakpoint: if features.contains(.softwareBreakpoints) { text += "swbreak:;" }
        case .hardwareBreakpoint: if features.contains(.hardwareBreakpoints) { text += "hwbreak:;" }
        case .watchpoint(let kind, let address):
            let word = kind == .readWatchpoint ? "rwatch" : kind == .accessWatchpoint ? "awatch" : "watch"
            text += "\(word):\(Hexadecimal.text(address));"
        case .systemCallEntry(let number): text += "syscall_entry:\(String(number, radix: 16));"
        case .systemCallReturn(let number): text += "syscall_return:\(String(number, radix: 16));"
        case .executed(let path): if features.contains(.executions) { text += "exec:\(Hexadecimal.encode(path));" }
        }
        for number in target.description.expedited {
            guard let bytes = target.register(number, of: stop.thread) else { continue }
            text += "\(String(number, radix: 16)):\(String(decoding: Hexadecimal.encode(bytes), as: UTF8.self));"
        }
        return text
    }

    func start(_ plan: ResumePlan) {
        isRunning = true
        transfer = nil
        target.resume(plan)
    }

    /// `vCont;action[:thread]…`
    func resume(_ packet: inout PacketReader) {
        var rules: [(thread: DebugThreadID?, action: ResumeAction)] = []
        while !packet.isAtEnd {
            var word = PacketReader(packet.word(upTo: ";"))
            guard let action = parseAction(&word) else { return replyMalformed() }
            guard !word.isAtEnd else {
                rules.append((nil, action))
                continue
            }
            guard word.next() == UInt8(ascii: ":"), let choice = parseThread(&word), word.isAtEnd else { return replyMalformed() }
            switch choice {
            case .all: rules.append((nil, action))
            case .any: rules.append((currentThread, action))
            case .one(let thread): rules.append((thread, action))
            }
        }
        guard target.threads.contains(where: { ResumePlan(rules).action(for: $0) != .hold }) else { return replyMalformed() }
        start(ResumePlan(rules))
    }

    private func parseAction(_ word: inout PacketReader) -> ResumeAction? {
        switch word.next().map({ Character(UnicodeScalar($0)) }) {
        case "c": return .go(.none)
        case "s": return .step(.none)
        case "t": return .hold
        case "C": return parseSignal(&word).map { .go($0) }
        case "S": return parseSignal(&word).map { .step($0) }
        case "r":
            guard let start = word.number(before: ","), let end = word.number() else { return nil }
            return .stepRange(start: start, end: end)
        default: return nil
        }
    }

    private func parseSignal(_ word: inout PacketReader) -> GDBSignal? {
        word.number().flatMap { UInt8(exactly: $0) }.map(GDBSignal.init(rawValue:))
    }

    /// `c[addr]`, `s[addr]`, `Csig[;addr]`, `Ssig[;addr]`.
    func resumeOldStyle(_ letter: UInt8, _ packet: inout PacketReader) {
        let steps = letter == UInt8(ascii: "s") || letter == UInt8(ascii: "S")
        var signal = GDBSignal.none
        if letter == UInt8(ascii: "C") || letter == UInt8(ascii: "S") {
            guard let given = parseSignal(&packet) else { return replyMalformed() }
            signal = given
            _ = packet.skip(";")
        }
        guard let thread = continueThread ?? currentThread else { return replyError(3) }
        if !packet.isAtEnd {
            guard let address = packet.lastNumber() else { return replyMalformed() }
            let byteCount = target.description.registers[target.description.programCounter].byteCount
            let bytes = (0 ..< byteCount).map { UInt8(truncatingIfNeeded: address >> UInt64($0 * 8)) }
            guard target.setRegister(target.description.programCounter, to: bytes, of: thread) else { return replyError(14) }
        }
        start(ResumePlan([(thread, steps ? .step(signal) : .go(signal)), (nil, .go(.none))]))
    }
}

/// Which threads a packet names.
enum ThreadChoice { case all, any, one(DebugThreadID) }

extension DebugSession {
    /// `-1`, `0`, a number, or `pPROCESS.THREAD`, of which only the thread counts.
    func parseThread(_ packet: inout PacketReader) -> ThreadChoice? {
        if packet.skip("p") {
            if packet.skip("-1") { return .all }
            guard packet.number() != nil else { return nil }
            guard packet.skip(".") else { return .all }
        }
        if packet.skip("-1") { return .all }
        guard let number = packet.number() else { return nil }
        return number == 0 ? .any : .one(DebugThreadID(rawValue: number))
    }

    /// `H`: which thread the packets that follow are about.
    func chooseThread(_ packet: inout PacketReader) {
        let purpose = packet.next()
        guard let choice = parseThread(&packet), packet.isAtEnd else { return replyMalformed() }
        var thread: DebugThreadID?
        if case .one(let chosen) = choice {
            guard target.threads.contains(chosen) else { return replyError(3) }
            thread = chosen
        }
        switch purpose {
        case UInt8(ascii: "g"): generalThread = thread
        case UInt8(ascii: "c"): continueThread = thread
        default: return replyMalformed()
        }
        replyOK()
    }

    /// `T`: is the thread alive?
    func askThread(_ packet: inout PacketReader) {
        guard case .one(let thread)? = parseThread(&packet), packet.isAtEnd else { return replyMalformed() }
        target.threads.contains(thread) ? replyOK() : replyError(3)
    }
}
