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

extension Translation {
    /// Makes code that was emitted for another place, or other numbers of links and caches, right for where it is going to be.
    /// - Parameters:
    ///   - code: the code, as it was emitted; it is copied to its place afterwards.
    ///   - executable: its address from then on.
    ///   - links: what is to be added to the numbers of its links; `caches` the same of its inline caches.
    package mutating func move(_ code: UnsafeMutableRawPointer, to executable: UInt64, links linkDistance: Int, caches cacheDistance: Int) {
        let distance = executable &- entry
        let linkWord = UInt32(truncatingIfNeeded: linkDistance << 3), cacheWord = UInt32(truncatingIfNeeded: cacheDistance << 3)
        for relocation in relocations {
            precondition(Int(relocation.offset) + relocation.kind.byteCount <= byteCount)
            // SAFETY: within the code, as was just seen.
            let field = code + Int(relocation.offset)
            switch relocation.kind {
            case .guestAddress, .helper: break
            case .link: field.storeBytes(of: field.loadUnaligned(as: UInt32.self) &+ linkWord, as: UInt32.self)
            case .cache: field.storeBytes(of: field.loadUnaligned(as: UInt32.self) &+ cacheWord, as: UInt32.self)
            case .stub:
                let word = field.loadUnaligned(as: UInt32.self) &- UInt32(truncatingIfNeeded: distance)
                field.storeBytes(of: word, as: UInt32.self)
            }
        }
        entry &+= distance
        innerEntry &+= distance
        loopEntry &+= distance
        for index in self.links.indices { self.links[index].move(by: distance) }
        for index in self.caches.indices { self.caches[index].move(by: distance) }
    }
}

extension LinkSite {
    fileprivate mutating func move(by distance: UInt64) {
        if field != 0 { field &+= distance }
        stub &+= distance
    }
}

extension InlineCache {
    fileprivate mutating func move(by distance: UInt64) {
        target &+= distance
        hit &+= distance
        miss &+= distance
        lookup &+= distance
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
