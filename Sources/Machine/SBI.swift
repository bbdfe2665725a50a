// The supervisor binary interface (RISC-V SBI specification 2.0), built in, so that a kernel needs no firmware. One row a
// function; what an extension's probe answers follows from the rows.
//
// It runs on the hart that called, while that hart's supervisor waits for the answer; several harts call at the same time.

/// What the functions need of the machine. Harts are named by number, 0 ..< `hartCount`.
package protocol SBIPlatform: AnyObject {
    var hartCount: Int { get }
    /// Clears the hart's pending timer interrupt, and raises it when the time (ticks of 100 ns) is reached.
    func setTimer(hart: Int, deadline: UInt64)
    /// Raises or clears a hart's supervisor software interrupt.
    func setSoftwareInterrupt(hart: Int, pending: Bool)
    /// What the harts have cached of code or translations is gone when this returns.
    func fence(_ fence: SBIFence, harts: [Int], caller: Int)
    func state(of hart: Int) -> SBIHartState
    /// - Returns: false when it is started already.
    func start(hart: Int, at address: UInt64, opaque: UInt64) -> Bool
    /// The caller executes nothing more until it is started.
    func stop(hart: Int)
    /// The caller waits for an interrupt, then goes on behind the call, or at an address as if it had been started there.
    func suspend(hart: Int, resume: (address: UInt64, opaque: UInt64)?)
    func reset(_ kind: SBIReset, isFailure: Bool)
    func writeConsole(_ bytes: [UInt8])
    /// What has been typed and not read, at most `limit` bytes.
    func readConsole(limit: Int) -> [UInt8]
    /// Physical memory; nil or false when not all of it is RAM.
    func read(_ address: UInt64, count: Int) -> [UInt8]?
    func write(_ address: UInt64, _ bytes: [UInt8]) -> Bool
    /// A double word at a virtual address of the caller; nil when it cannot read there.
    func readVirtual(hart: Int, _ address: UInt64) -> UInt64?
}

/// HSM states (table 8 of the specification, 9.1); the others are transitions that take no time here.
package enum SBIHartState: UInt64 {
    case started = 0, stopped = 1, suspended = 4
}

package enum SBIReset { case shutdown, coldReboot, warmReboot }

/// A remote fence (chapter 8).
package enum SBIFence: Equatable {
    case instructions
    /// Of all address spaces, or of one. All addresses when the range is nil.
    case addresses(Range<UInt64>?, addressSpace: UInt64?)
}

/// Registers a7, a6, a0…a5 of an `ecall`.
package struct SBICall {
    package var extensionID: UInt64
    package var functionID: UInt64
    package var arguments: [UInt64]
    package init(extensionID: UInt64, functionID: UInt64 = 0, _ arguments: UInt64...) {
        self.init(extensionID: extensionID, functionID: functionID, arguments: arguments)
    }
    package init(extensionID: UInt64, functionID: UInt64, arguments: [UInt64]) {
        self.extensionID = extensionID
        self.functionID = functionID
        self.arguments = arguments + repeatElement(0, count: max(0, 6 - arguments.count))
    }
}

/// Standard error codes (table 1).
package enum SBIError: Int64, Error {
    case failed = -1, notSupported = -2, invalidParameter = -3, denied = -4, invalidAddress = -5, alreadyAvailable = -6
}

/// What the caller gets back.
package enum SBIAnswer: Equatable {
    /// a0 and a1.
    case standard(error: Int64, value: UInt64)
    /// a0 alone: the calls of before version 0.2.
    case legacy(UInt64)
    /// The hart goes on elsewhere, or not at all; its registers are set already.
    case none
}

/// The firmware of one machine.
package final class SBI {
    typealias Body = (SBI, _ hart: Int, _ arguments: [UInt64]) throws -> UInt64

    /// A function of an extension.
    struct Row {
        let extensionID: UInt64
        let functionID: UInt64
        let name: String
        /// The value for a1; nil when there is nothing to go back to.
        let body: (SBI, Int, [UInt64]) throws -> UInt64?
    }

    unowned let platform: SBIPlatform
    let rows: [Row]
    let legacyRows: [UInt64: Body]

    package init(platform: SBIPlatform) {
        self.platform = platform
        var table = SBITable()
        table.addBase()
        table.addTimerAndInterrupts()
        table.addHarts()
        table.addConsoleAndReset()
        rows = table.rows
        legacyRows = SBITable.legacy
    }

    package func has(extensionID: UInt64) -> Bool {
        legacyRows[extensionID] != nil || rows.contains { $0.extensionID == extensionID }
    }

    package func call(_ call: SBICall, hart: Int) -> SBIAnswer {
        if let body = legacyRows[call.extensionID] {
            do { return .legacy(try body(self, hart, call.arguments)) } catch {
                return .legacy(UInt64(bitPattern: ((error as? SBIError) ?? .failed).rawValue))
            }
        }
        guard let row = rows.first(where: { $0.extensionID == call.extensionID && $0.functionID == call.functionID }) else {
            return .standard(error: SBIError.notSupported.rawValue, value: 0)
        }
        do {
            guard let value = try row.body(self, hart, call.arguments) else { return .none }
            return .standard(error: 0, value: value)
        } catch {
            return .standard(error: ((error as? SBIError) ?? .failed).rawValue, value: 0)
        }
    }
}

/// Builds the rows.
struct SBITable {
    private(set) var rows: [SBI.Row] = []

    mutating func function(_ extensionID: UInt64, _ functionID: UInt64, _ name: String, _ body: @escaping SBI.Body) {
        rows.append(.init(extensionID: extensionID, functionID: functionID, name: name, body: body))
    }

    /// One that does not come back to its caller when it succeeds.
    mutating func departure(
        _ extensionID: UInt64, _ functionID: UInt64, _ name: String, _ body: @escaping (SBI, Int, [UInt64]) throws -> UInt64?
    ) {
        rows.append(.init(extensionID: extensionID, functionID: functionID, name: name, body: body))
    }
}

/// Extensions by number.
package enum SBIExtension {
    package static let base: UInt64 = 0x10
    package static let time: UInt64 = 0x5449_4d45
    package static let interProcessorInterrupt: UInt64 = 0x73_5049
    package static let remoteFence: UInt64 = 0x5246_4e43
    package static let hartState: UInt64 = 0x48_534d
    package static let systemReset: UInt64 = 0x5352_5354
    package static let debugConsole: UInt64 = 0x4442_434e
}
