// What in a translation's code depends on where things are, so that it can run elsewhere: in another place of the code cache, in
// another process, for guest code at another address.

import X86

/// A field of the code.
package struct Relocation: Equatable, Sendable {
    package enum Kind: UInt8, CaseIterable, Sendable {
        /// 64 bits: an address of the guest.
        case guestAddress
        /// 64 bits: a C function of Mynah.
        case helper
        /// 32 bits: an exit word with the number of a link.
        case link
        /// 32 bits: an exit word with the number of an inline cache.
        case cache
        /// 32 bits: the distance from the end of the instruction to one of the stubs, or to a constant there.
        case stub

        package var byteCount: Int { self == .guestAddress || self == .helper ? 8 : 4 }
    }
    /// Bytes from the translation's entry.
    package var offset: UInt32
    package var kind: Kind

    package init(offset: UInt32, kind: Kind) {
        self.offset = offset
        self.kind = kind
    }
}

extension Translator {
    private func note(_ kind: Relocation.Kind) {
        guard recordsRelocations else { return }
        relocations.append(Relocation(offset: UInt32(truncatingIfNeeded: asm.offset - kind.byteCount), kind: kind))
    }

    /// A guest address that follows from that of the code.
    func loadGuestAddress(_ register: Register, _ address: UInt64) {
        guard function.isMovable else { return asm.movImmediate(register, address) }
        asm.movabs(register, address)
        note(.guestAddress)
    }

    /// The address of a C function.
    func loadHelper(_ register: Register, _ address: UInt64) {
        asm.movabs(register, address)
        note(.helper)
    }

    /// rax = an exit word that holds a number, below 2^29, of the engine's tables.
    func loadExitWord(_ number: Int, _ kind: ExitKind) {
        asm.movImmediate(.rax, UInt64(number) << 3 | kind.rawValue)
        note(kind == .link ? .link : .cache)
    }

    /// How many places in the code have been noted.
    var referenceCount: Int { relocations.count + asm.externalReferences.count }

    /// With the references out of the code.
    func allRelocations() -> [Relocation] {
        for offset in asm.externalReferences { relocations.append(Relocation(offset: offset, kind: .stub)) }
        return relocations
    }
}
