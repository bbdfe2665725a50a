// What Mynah supports of an instruction set, read off the tables that do the work.

import Guest
import GuestRISCV
import LinuxUser

public struct InstructionSetDescription: Sendable {
    public struct Extension: Sendable {
        public var name: String
        public var mnemonics: [String]
    }

    public struct SystemCall: Sendable {
        public enum Service: String, Sendable {
            /// The host's call does the same.
            case forwarded
            /// Served by Mynah.
            case emulated
        }
        public var number: Int
        public var name: String
        public var service: Service
    }

    public var name: String
    public var extensions: [Extension]
    public var systemCalls: [SystemCall]

    public static var riscv64: InstructionSetDescription {
        InstructionSetDescription(
            name: RISCV64().name, extensions: riscvExtensions, systemCalls: linuxCalls(SystemCallTable.riscv64()))
    }

    /// The extension that starts at each opcode; opcodes are listed extension by extension.
    private static let firstOpcodes: [(RISCVOpcode, String)] = [
        (.lui, "I"), (.fenceI, "Zifencei"), (.csrrw, "Zicsr"), (.mul, "M"), (.lrW, "A"), (.flw, "F"), (.fld, "D"), (.fliS, "Zfa"),
        (.addUw, "Zba"), (.andn, "Zbb"), (.pack, "Zbkb"), (.clmul, "Zbc, Zbkc"), (.xperm4, "Zbkx"),
        (.aes64ds, "Zknd, Zkne"), (.sha256sum0, "Zknh"), (.sm4ed, "Zksed"), (.sm3p0, "Zksh"), (.bclr, "Zbs"),
        (.czeroEqz, "Zicond"), (.wrsNto, "Zawrs"),
        (.mopR, "Zimop"), (.cboInval, "Zicbom"), (.cboZero, "Zicboz"), (.mret, "privileged"),
    ]

    private static var riscvExtensions: [Extension] {
        var extensions = firstOpcodes.map { Extension(name: $0.1, mnemonics: []) }
        var compressed = Extension(name: "C, Zcb, Zcmop", mnemonics: [])
        for row in RISCVInstructionTable.rows {
            let mnemonic = "\(row.mnemonic)"
            if row.byteCount == 2 {
                if !compressed.mnemonics.contains(mnemonic) { compressed.mnemonics.append(mnemonic) }
            } else if let index = firstOpcodes.lastIndex(where: { $0.0.rawValue <= row.opcode.rawValue }),
                !extensions[index].mnemonics.contains(mnemonic) {
                extensions[index].mnemonics.append(mnemonic)
            }
        }
        return extensions + [compressed]
    }

    private static func linuxCalls(_ table: SystemCallTable) -> [SystemCall] {
        (0 ..< SystemCallTable.capacity).compactMap { number in
            table[number].map {
                SystemCall(number: number, name: "\($0.name)", service: $0.hostNumber >= 0 ? .forwarded : .emulated)
            }
        }
    }
}
