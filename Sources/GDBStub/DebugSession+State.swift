// Registers, memory and points: `g G p P m x M X Z z`. GDB manual E.2.

extension DebugSession {
    /// All registers in the order of their numbers; `xx` for the bytes of one that is not available.
    func readRegisters() {
        guard let thread = currentThread else { return replyError(3) }
        var body: [UInt8] = []
        for (number, register) in target.description.registers.enumerated() {
            body += registerDigits(number, register, thread)
        }
        reply(body)
    }

    private func registerDigits(_ number: Int, _ register: RegisterDescription, _ thread: DebugThreadID) -> [UInt8] {
        guard let bytes = target.register(number, of: thread), bytes.count == register.byteCount else {
            return [UInt8](repeating: UInt8(ascii: "x"), count: register.byteCount * 2)
        }
        return Hexadecimal.encode(bytes)
    }

    /// Registers behind the last that is given keep their values, as do those given as `xx`.
    func writeRegisters(_ packet: PacketReader) {
        guard let thread = currentThread else { return replyError(3) }
        var rest = packet.rest, isDone = true
        for (number, register) in target.description.registers.enumerated() where !rest.isEmpty {
            let digits = rest.prefix(register.byteCount * 2)
            rest = rest.dropFirst(register.byteCount * 2)
            if register.isReadOnly || digits.allSatisfy({ $0 == UInt8(ascii: "x") }) { continue }
            guard digits.count == register.byteCount * 2, let bytes = Hexadecimal.decode(digits) else { return replyMalformed() }
            isDone = target.setRegister(number, to: bytes, of: thread) && isDone
        }
        reply(isDone)
    }

    private func knownRegister(_ number: UInt64) -> Int? {
        Int(exactly: number).flatMap { target.description.registers.indices.contains($0) ? $0 : nil }
    }

    func readRegister(_ packet: inout PacketReader) {
        guard let given = packet.lastNumber() else { return replyMalformed() }
        guard let number = knownRegister(given), let thread = currentThread else { return replyError(14) }
        reply(registerDigits(number, target.description.registers[number], thread))
    }

    func writeRegister(_ packet: inout PacketReader) {
        guard let given = packet.number(before: "="), let bytes = Hexadecimal.decode(packet.rest) else { return replyMalformed() }
        guard let number = knownRegister(given), let thread = currentThread else { return replyError(14) }
        guard bytes.count == target.description.registers[number].byteCount else { return replyMalformed() }
        reply(target.setRegister(number, to: bytes, of: thread))
    }

    // MARK: Memory

    /// Bytes that one reply carries, at most.
    private static let largestRead = PacketEncoder.packetSize / 2

    /// What can be read from the start on is told, even when that is less than was asked for.
    func readMemory(_ packet: inout PacketReader, isBinary: Bool) {
        guard let address = packet.number(before: ","), let count = packet.lastSize() else { return replyMalformed() }
        let prefix = isBinary ? [UInt8(ascii: "b")] : []
        if count == 0 { return isBinary ? reply(prefix) : replyOK() }
        let bytes = target.readMemory(at: address, byteCount: min(count, Self.largestRead), thread: currentThread)
        if bytes.isEmpty { return replyError(14) }
        reply(prefix + (isBinary ? bytes : Hexadecimal.encode(bytes)))
    }

    func writeMemory(_ packet: inout PacketReader, isBinary: Bool) {
        guard let address = packet.number(before: ","), let count = packet.size(before: ":") else { return replyMalformed() }
        guard let bytes = isBinary ? Array(packet.rest) : Hexadecimal.decode(packet.rest), bytes.count == count else {
            return replyMalformed()
        }
        // No bytes: the question whether `X` is understood.
        reply(bytes.isEmpty || target.writeMemory(at: address, bytes, thread: currentThread))
    }

    // MARK: Points

    /// `Ztype,addr,kind[;conditions]`: conditions are the debugger's to check, as nothing promises that they are checked here.
    func changePoint(_ packet: inout PacketReader, inserting: Bool) {
        guard let type = packet.number(before: ","), let address = packet.number(before: ","), let byteCount = packet.number(),
            packet.isAtEnd || packet.peek == UInt8(ascii: ";")
        else { return replyMalformed() }
        guard let kind = UInt8(exactly: type).flatMap(DebugPointKind.init(rawValue:)) else { return replyUnsupported() }
        let point = DebugPoint(kind, at: address, byteCount: byteCount)
        switch inserting ? target.insert(point) : target.remove(point) {
        case .done: replyOK()
        case .failed: replyError(14)
        case .unsupported: replyUnsupported()
        }
    }
}
