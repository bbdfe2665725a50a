// Packets of the GDB remote serial protocol: `$body#checksum`, with bytes in between that acknowledge, reject or interrupt.
//
// Pure: bytes in, events out, and back. Whatever comes in, a packet that is not whole or not right is an event, never an error.
// GDB manual, appendix E.1 "Overview".

/// What a stream of bytes from the other side says.
package enum PacketEvent: Equatable {
    /// A body, escapes undone.
    case packet([UInt8])
    case acknowledged
    case rejected
    /// The byte 3 outside of a packet: stop the program.
    case interrupt
    /// A packet with a wrong checksum, or one that is too long.
    case damaged
}

package struct PacketDecoder {
    /// Bytes between `$` and `#` at most, escapes counted.
    package let limit: Int
    /// Undo run-length encoding: stubs send it, debuggers do not.
    package let expandsRuns: Bool

    private enum State { case outside, body, firstDigit, secondDigit }
    private var state = State.outside
    private var body: [UInt8] = []
    private var sum: UInt8 = 0
    private var isTooLong = false
    private var digits: UInt8 = 0
    private var digitsAreValid = true

    package init(limit: Int = 4 * PacketEncoder.packetSize, expandsRuns: Bool = false) {
        self.limit = limit
        self.expandsRuns = expandsRuns
    }

    /// Takes the next bytes of the stream, however it was cut.
    package mutating func decode(_ bytes: some Sequence<UInt8>) -> [PacketEvent] {
        var events: [PacketEvent] = []
        for byte in bytes {
            switch state {
            case .outside: outside(byte, &events)
            case .body: inside(byte)
            case .firstDigit:
                digits = 0
                digitsAreValid = true
                digit(byte)
                state = .secondDigit
            case .secondDigit:
                digit(byte)
                state = .outside
                events.append(finished())
            }
        }
        return events
    }

    private mutating func outside(_ byte: UInt8, _ events: inout [PacketEvent]) {
        switch byte {
        case UInt8(ascii: "$"): begin()
        case UInt8(ascii: "+"): events.append(.acknowledged)
        case UInt8(ascii: "-"): events.append(.rejected)
        case 3: events.append(.interrupt)
        default: break
        }
    }

    private mutating func begin() {
        body.removeAll(keepingCapacity: true)
        sum = 0
        isTooLong = false
        state = .body
    }

    private mutating func inside(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "#"): state = .firstDigit
        // In a body it would be escaped: the end of the packet before was lost.
        case UInt8(ascii: "$"): begin()
        default:
            sum &+= byte
            if body.count < limit { body.append(byte) } else { isTooLong = true }
        }
    }

    private mutating func digit(_ byte: UInt8) {
        guard let value = Hexadecimal.value(of: byte) else {
            digitsAreValid = false
            return
        }
        digits = digits << 4 | value
    }

    private mutating func finished() -> PacketEvent {
        guard !isTooLong, digitsAreValid, digits == sum, let bytes = unescaped() else { return .damaged }
        return .packet(bytes)
    }

    /// The body without escapes and runs; nil when an escape has nothing behind it, or the runs are too long.
    private func unescaped() -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(body.count)
        var index = 0
        while index < body.count {
            let byte = body[index]
            index += 1
            if byte == PacketEncoder.escape {
                guard index < body.count else { return nil }
                result.append(body[index] ^ PacketEncoder.escapeMask)
                index += 1
            } else if expandsRuns && byte == PacketEncoder.run {
                guard index < body.count, body[index] >= 29, let repeated = result.last else { return nil }
                let count = Int(body[index]) - 29
                guard result.count + count <= limit else { return nil }
                result.append(contentsOf: repeatElement(repeated, count: count))
                index += 1
            } else {
                result.append(byte)
            }
        }
        return result
    }
}

package enum PacketEncoder {
    /// Bytes of a packet that this side promises to take (`PacketSize` of qSupported).
    package static let packetSize = 1 << 16
    static let escape = UInt8(ascii: "}"), escapeMask: UInt8 = 0x20, run = UInt8(ascii: "*")
    private static let shortestRun = 4, longestRun = 98

    static func needsEscape(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "$") || byte == UInt8(ascii: "#") || byte == escape || byte == run
    }

    /// The packet of a body: `$…#xx`. With `runs`, four and more equal bytes are shortened, as only a stub may.
    package static func packet(_ body: some Collection<UInt8>, runs: Bool = false) -> [UInt8] {
        var result: [UInt8] = [UInt8(ascii: "$")]
        result.reserveCapacity(body.count + 4)
        var index = body.startIndex
        while index != body.endIndex {
            let byte = body[index]
            var count = 0
            while index != body.endIndex, body[index] == byte, count < longestRun {
                body.formIndex(after: &index)
                count += 1
            }
            append(byte, count, runs, to: &result)
        }
        let sum = result.dropFirst().reduce(0 as UInt8, &+)
        result.append(UInt8(ascii: "#"))
        result.append(Hexadecimal.digit(sum >> 4))
        result.append(Hexadecimal.digit(sum & 15))
        return result
    }

    private static func append(_ byte: UInt8, _ count: Int, _ runs: Bool, to result: inout [UInt8]) {
        if needsEscape(byte) {
            for _ in 0 ..< count { result += [escape, byte ^ escapeMask] }
            return
        }
        var left = count
        if runs && count >= shortestRun {
            // The byte itself, then how often it follows; 35 and 36 would be # and $.
            var more = count - 1
            if more == 6 || more == 7 { more = 5 }
            result += [byte, run, UInt8(more + 29)]
            left -= more + 1
        }
        result.append(contentsOf: repeatElement(byte, count: left))
    }
}
