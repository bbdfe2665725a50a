// The textual form of each operation, shared by the printer and the parser so that the two cannot drift apart.
//
//     block0(%0: i64):
//       boundary 0x1000
//       %2 = read.i64 s10
//       %3 = add.i64 %0, %2
//       %4 = load.i64 [%3 + %2*8 + 16] u8
//       exitIf %4, 0x2000
//       exit 0x1004
//
// A number after `%` is the index of the instruction, so that it stays the same from pass to pass.

/// How the operands of an operation are written.
enum Syntax {
    /// The name only.
    case bare
    /// A guest address, from the immediate.
    case address
    /// Part of the block header.
    case blockParameter
    case constant
    case read, write
    /// Qualifying words (see `qualifiers`), then the operands.
    case operands
    /// One operand and a number: of bits, of a lane, or of a round.
    case extension_
    case load, store, hostAddress, atomic, compareExchange
    case exitIf, exit, exitIndirect, exitTrap, jump, branch
}

extension Opcode {
    var syntax: Syntax {
        switch self {
        case .nop, .fence: .bare
        case .boundary, .interpretOne, .guestAddress: .address
        case .parameter: .blockParameter
        case .constant: .constant
        case .read: .read
        case .write: .write
        case .signExtend, .zeroExtend, .lane, .aesKeyRound: .extension_
        case .load: .load
        case .store: .store
        case .hostAddress: .hostAddress
        case .atomic: .atomic
        case .compareExchange: .compareExchange
        case .exitIf: .exitIf
        case .exit: .exit
        case .exitIndirect: .exitIndirect
        case .exitTrap: .exitTrap
        case .jump: .jump
        case .branch: .branch
        default: .operands
        }
    }

    /// The name in the text.
    var mnemonic: String { self == .constant ? "const" : "\(self)" }

    static let byMnemonic: [String: Opcode] = Dictionary(uniqueKeysWithValues: allCases.map { ($0.mnemonic, $0) })
}

/// The comparisons of `Opcode.floatCompare`, by `detail`.
let floatComparisonNames = ["equal", "less", "lessOrEqual", "lessQuiet", "lessOrEqualQuiet"]

extension Instruction {
    /// The words between the operation's name and its operands.
    var qualifiers: [String] {
        switch opcode {
        case .compare: [Condition(rawValue: detail).map { "\($0)" } ?? "?\(detail)"]
        case .floatCompare: [Int(detail) < floatComparisonNames.count ? floatComparisonNames[Int(detail)] : "?\(detail)"]
        case .integerToFloat: [detail & 1 != 0 ? "signed" : "unsigned"]
        case .floatToInteger: [detail & 8 != 0 ? "signed" : "unsigned", roundingName]
        case .roundToIntegral: [detail & 8 != 0 ? "inexact" : "silent", roundingName]
        case .aesRound: [AESRound(rawValue: detail).map { "\($0)" } ?? "?\(detail)"]
        case .sm4Substitute: [SM4Step(rawValue: detail).map { "\($0)" } ?? "?\(detail)"]
        default: []
        }
    }

    private var roundingName: String { Rounding(rawValue: detail & 7).map { "\($0)" } ?? "?\(detail & 7)" }

    /// Number of words that `qualifiers` has for an operation.
    static func qualifierCount(_ opcode: Opcode) -> Int {
        switch opcode {
        case .compare, .floatCompare, .integerToFloat, .aesRound, .sm4Substitute: 1
        case .floatToInteger, .roundToIntegral: 2
        default: 0
        }
    }

    /// Sets `detail` from the words; false when one of them is unknown.
    mutating func setQualifiers(_ words: [String]) -> Bool {
        switch opcode {
        case .compare:
            guard let condition = Condition.allCases.first(where: { "\($0)" == words[0] }) else { return false }
            detail = condition.rawValue
        case .floatCompare:
            guard let index = floatComparisonNames.firstIndex(of: words[0]) else { return false }
            detail = UInt8(index)
        case .integerToFloat:
            guard let signed = flag(words[0], set: "signed", clear: "unsigned") else { return false }
            detail = signed ? 1 : 0
        case .floatToInteger, .roundToIntegral:
            let names = opcode == .floatToInteger ? ("signed", "unsigned") : ("inexact", "silent")
            guard let bit = flag(words[0], set: names.0, clear: names.1),
                let rounding = Rounding.allCases.first(where: { "\($0)" == words[1] })
            else { return false }
            detail = rounding.rawValue | (bit ? 8 : 0)
        case .aesRound:
            guard let round = AESRound.allCases.first(where: { "\($0)" == words[0] }) else { return false }
            detail = round.rawValue
        case .sm4Substitute:
            guard let step = SM4Step.allCases.first(where: { "\($0)" == words[0] }) else { return false }
            detail = step.rawValue
        default: break
        }
        return true
    }

    private func flag(_ word: String, set: String, clear: String) -> Bool? {
        word == set ? true : word == clear ? false : nil
    }
}

extension Access {
    /// Sign and width in bits, then `ordered` when the access is.
    var text: String { "\(isSigned ? "s" : "u")\(bytes * 8)\(isOrdered ? " ordered" : "")" }
}
