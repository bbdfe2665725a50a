// What is known where a superblock of a region starts, whichever way it is entered.

import IR

/// An integer as what it was computed from: equal roots say that numbers are as far apart as their offsets. Of an i32 it is the
/// number that it is sign-extended to.
struct Symbol: Equatable {
    /// What none of the roots is: `offset` is the number.
    static let number: Int32 = -1
    /// The same of a guest address, which moves with the code.
    static let address: Int32 = -2

    var root: Int32
    var offset: Int64 = 0

    /// The number itself, when that is known.
    var constant: Int64? { root == Symbol.number ? offset : nil }

    func moved(by amount: Int64) -> Symbol { Symbol(root: root, offset: offset &+ amount) }
}

/// Of a guest register.
struct SlotFact: Equatable {
    /// Roots are slots, the first of those that are known to be some number apart.
    var symbol: Symbol
    var bits = SignificantBits(.i64)
}

/// What bytes of memory hold.
struct PlaceFact: Equatable {
    /// Of the first byte.
    var address: Symbol
    var bytes: Int
    /// The number of which they are the low bytes.
    var content: Symbol
}

/// At the start of a superblock.
struct RegionFacts: Equatable {
    /// More are forgotten.
    static let mostPlaces = 24

    var slots: [SlotFact]
    var places: [PlaceFact] = []

    /// Nothing.
    init(slotCount: Int) { slots = (0 ..< slotCount).map { SlotFact(symbol: Symbol(root: Int32($0))) } }

    /// Keeps what `other` says as well.
    /// - Parameter isOften: what changed before and does so again is given up.
    /// - Returns: whether anything was lost.
    mutating func meet(_ other: RegionFacts, keepsPlaces: Bool, isOften: Bool) -> Bool {
        var changed = false
        for slot in slots.indices where slots[slot] != other.slots[slot] {
            let met = slots[slot].bits.union(other.slots[slot].bits), before = slots[slot]
            if before.symbol != other.slots[slot].symbol { slots[slot].symbol = Symbol(root: Int32(slot)) }
            if met != before.bits { slots[slot].bits = isOften ? met.givenUp : met.rounded }
            if slots[slot] != before { changed = true }
        }
        guard !places.isEmpty else { return changed }
        let count = places.count
        if keepsPlaces { places.removeAll { !other.places.contains($0) } } else { places.removeAll() }
        return changed || places.count < count
    }
}

extension SignificantBits {
    /// What counts in 32 bits stays that.
    fileprivate var givenUp: SignificantBits { SignificantBits(unsigned: 64, signed: signed <= 32 ? 32 : 64) }

    /// Few steps up, so that loops come to an end soon.
    fileprivate var rounded: SignificantBits {
        func step(_ bits: UInt8) -> UInt8 {
            switch bits {
            case ...1: bits
            case ...8: 8
            case ...16: 16
            case 31, 32: bits
            case ...30: 31
            default: 64
            }
        }
        let unsigned = step(unsigned), signed = step(signed)
        return SignificantBits(unsigned: unsigned, signed: unsigned < 64 ? min(signed, unsigned + 1) : signed)
    }
}
