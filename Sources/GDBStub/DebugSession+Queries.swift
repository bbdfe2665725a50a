// Questions and settings: packets that begin with `q` and `Q`. GDB manual E.4.

extension DebugSession {
    func query(_ packet: inout PacketReader) {
        let name = Self.name(of: packet)
        switch name {
        case "Supported":
            _ = packet.skip("Supported")
            _ = packet.skip(":")
            negotiate(&packet)
        case "Xfer": queryTransfer(&packet)
        case "C": reply(currentThread.map { "QC" + Hexadecimal.text($0.rawValue) } ?? "")
        case "fThreadInfo":
            threadsToTell = target.threads
            tellThreads()
        case "sThreadInfo": tellThreads()
        case "ThreadExtraInfo": tellThread(&packet)
        case "Attached": reply(target.wasAttached ? "1" : "0")
        case "Symbol": replyOK()
        case "Rcmd": runMonitor(&packet)
        case "CRC": sumMemory(&packet)
        default: reply(target.answer("q" + String(decoding: packet.rest, as: UTF8.self)) ?? "")
        }
    }

    /// The letters in front of what separates the name from its arguments.
    private static func name(of packet: PacketReader) -> String {
        String(decoding: packet.rest.prefix { Character(UnicodeScalar($0)).isLetter && $0 < 128 }, as: UTF8.self)
    }

    /// Nothing that needs the target.
    func queryWhileRunning(_ letter: UInt8, _ packet: PacketReader) {
        var packet = packet
        guard letter == UInt8(ascii: "q"), packet.skip("Supported") else { return replyError(16) }
        _ = packet.skip(":")
        negotiate(&packet)
    }

    private func negotiate(_ packet: inout PacketReader) {
        let kept: SessionFeatures = .noAcknowledgement
        features.formIntersection(kept)
        while !packet.isAtEnd {
            switch String(decoding: packet.word(upTo: ";"), as: UTF8.self) {
            case "swbreak+": features.insert(.softwareBreakpoints)
            case "hwbreak+": features.insert(.hardwareBreakpoints)
            case "exec-events+": features.insert(.executions)
            case "no-resumed+": features.insert(.nothingRuns)
            default: break
            }
        }
        var words = [
            "PacketSize=\(String(PacketEncoder.packetSize, radix: 16))", "QStartNoAckMode+", "vContSupported+", "swbreak+",
            "hwbreak+",
            "exec-events+", "no-resumed+", "QPassSignals+", "QProgramSignals+", "binary-upload+", "qXfer:features:read+",
            "qXfer:threads:read+",
        ]
        if target.catchesSystemCalls { words.append("QCatchSyscalls+") }
        for object in TransferObject.allCases where target.objects.contains(object) {
            words.append("qXfer:\(object.rawValue):read+")
        }
        if target.objects.contains(.signalInformation) { words.append("qXfer:siginfo:write+") }
        reply(words.joined(separator: ";"))
    }

    // MARK: Threads

    /// As many as fit in a packet; `l` behind the last.
    private func tellThreads() {
        if threadsToTell.isEmpty { return reply("l") }
        let some = threadsToTell.prefix(512)
        threadsToTell.removeFirst(some.count)
        reply("m" + some.map { Hexadecimal.text($0.rawValue) }.joined(separator: ","))
    }

    private func tellThread(_ packet: inout PacketReader) {
        _ = packet.word(upTo: ",")
        guard case .one(let id)? = parseThread(&packet), packet.isAtEnd else { return replyMalformed() }
        guard let thread = target.thread(id) else { return replyError(3) }
        let text = [thread.name, thread.details].filter { !$0.isEmpty }.joined(separator: " ")
        reply(Hexadecimal.encode(text.utf8))
    }

    private var threadsDocument: String {
        var text = "<?xml version=\"1.0\"?>\n<threads>\n"
        for thread in target.threads.compactMap({ target.thread($0) }) {
            text += "<thread id=\"\(Hexadecimal.text(thread.id.rawValue))\" name=\"\(xmlText(thread.name))\""
            text += thread.details.isEmpty ? "/>\n" : ">\(xmlText(thread.details))</thread>\n"
        }
        return text + "</threads>\n"
    }

    // MARK: Objects

    /// `qXfer:object:read:annex:offset,length` and `qXfer:object:write:annex:offset:data`.
    private func queryTransfer(_ packet: inout PacketReader) {
        guard packet.skip("Xfer:") else { return replyUnsupported() }
        let name = String(decoding: packet.word(upTo: ":"), as: UTF8.self)
        let operation = String(decoding: packet.word(upTo: ":"), as: UTF8.self)
        let annex = String(decoding: packet.word(upTo: ":"), as: UTF8.self)
        switch operation {
        case "read":
            guard let offset = packet.size(before: ","), let count = packet.lastSize() else { return replyMalformed() }
            readObject(name, annex, offset, count)
        case "write":
            guard let object = TransferObject(rawValue: name), target.objects.contains(object) else { return replyUnsupported() }
            guard let offset = packet.size(before: ":") else { return replyMalformed() }
            let bytes = Array(packet.rest)
            guard target.setObject(object, to: bytes, at: offset, thread: currentThread) else { return replyError(14) }
            reply(String(bytes.count, radix: 16))
        default: replyUnsupported()
        }
    }

    private func readObject(_ name: String, _ annex: String, _ offset: Int, _ count: Int) {
        let key = "\(name):\(annex):\(currentThread?.rawValue ?? 0)"
        if offset == 0 || transfer?.name != key {
            switch contents(name, annex) {
            case .some(.some(let bytes)): transfer = (key, bytes)
            case .some(.none): return replyError(0)
            case .none: return replyUnsupported()
            }
        }
        guard let bytes = transfer?.bytes, offset <= bytes.count else { return replyMalformed() }
        let part = bytes[offset...].prefix(min(count, PacketEncoder.packetSize / 2))
        let isLast = offset + part.count == bytes.count
        if isLast { transfer = nil }
        reply([UInt8(ascii: isLast ? "l" : "m")] + part)
    }

    /// Nil when there is no such object, nil inside when it has no such annex.
    private func contents(_ name: String, _ annex: String) -> [UInt8]?? {
        if name == "features" { return .some(annex == "target.xml" ? Array(target.description.xml.utf8) : nil) }
        if name == "threads" { return .some(Array(threadsDocument.utf8)) }
        guard let object = TransferObject(rawValue: name), target.objects.contains(object) else { return .none }
        return .some(target.object(object, annex: annex, thread: currentThread))
    }

    // MARK: Others

    /// `qRcmd,command`: what the person typed behind `monitor`.
    private func runMonitor(_ packet: inout PacketReader) {
        guard packet.skip("Rcmd,"), let bytes = Hexadecimal.decode(packet.rest) else { return replyMalformed() }
        let text = String(decoding: bytes, as: UTF8.self).split(separator: " ").joined(separator: " ")
        guard let answer = target.monitor(text) else { return replyUnsupported() }
        answer.isEmpty ? replyOK() : reply(Hexadecimal.encode(answer.utf8))
    }

    /// `qCRC:addr,length`: the CRC-32 (polynomial 0x04c11db7, high bit first, start all ones) of memory.
    private func sumMemory(_ packet: inout PacketReader) {
        guard packet.skip("CRC:"), let address = packet.number(before: ","), let count = packet.lastSize(), count <= 1 << 30
        else {
            return replyMalformed()
        }
        var sum: UInt32 = 0xffff_ffff
        var done = 0
        while done < count {
            let bytes = target.readMemory(at: address &+ UInt64(done), byteCount: min(count - done, 4096), thread: currentThread)
            if bytes.isEmpty { return replyError(14) }
            for byte in bytes {
                sum ^= UInt32(byte) << 24
                for _ in 0 ..< 8 { sum = sum >> 31 == 1 ? sum << 1 ^ 0x04c1_1db7 : sum << 1 }
            }
            done += bytes.count
        }
        reply("C" + String(sum, radix: 16))
    }

    // MARK: Settings

    func set(_ packet: inout PacketReader) {
        if packet.skip("StartNoAckMode") {
            // Still acknowledged, which was done before; what follows is not.
            replyOK()
            features.insert(.noAcknowledgement)
        } else if packet.skip("PassSignals:") {
            guard let signals = signalList(packet) else { return replyMalformed() }
            passedSignals = signals
            target.pass(signals)
            replyOK()
        } else if packet.skip("ProgramSignals:") {
            // Which signals the program may get when it goes on: the debugger names each with the action itself.
            signalList(packet) == nil ? replyMalformed() : replyOK()
        } else if packet.skip("CatchSyscalls:") {
            guard target.catchesSystemCalls else { return replyUnsupported() }
            guard let calls = callList(&packet) else { return replyMalformed() }
            caughtSystemCalls = calls
            target.catchSystemCalls(calls)
            replyOK()
        } else if packet.skip("NonStop:") {
            packet.lastNumber() == 0 ? replyOK() : replyUnsupported()
        } else {
            reply(target.answer("Q" + String(decoding: packet.rest, as: UTF8.self)) ?? "")
        }
    }

    private func signalList(_ packet: PacketReader) -> Set<GDBSignal>? {
        var packet = packet
        var signals: Set<GDBSignal> = []
        while !packet.isAtEnd {
            var word = PacketReader(packet.word(upTo: ";"))
            guard let number = word.lastNumber().flatMap({ UInt8(exactly: $0) }) else { return nil }
            signals.insert(GDBSignal(rawValue: number))
        }
        return signals
    }

    private func callList(_ packet: inout PacketReader) -> CaughtSystemCalls? {
        switch packet.next() {
        case UInt8(ascii: "0"): return packet.isAtEnd ? CaughtSystemCalls.none : nil
        case UInt8(ascii: "1"): break
        default: return nil
        }
        if packet.isAtEnd { return .all }
        guard packet.skip(";") else { return nil }
        var numbers: Set<Int> = []
        while !packet.isAtEnd {
            var word = PacketReader(packet.word(upTo: ";"))
            guard let number = word.lastSize() else { return nil }
            numbers.insert(number)
        }
        return .some(numbers)
    }
}
